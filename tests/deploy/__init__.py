"""How it is deployed, held against what it is: the image, the balancer's configuration, the manifests."""
