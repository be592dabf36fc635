"""The replicas: who is alive, and who does the work that only one may do. Only the database's clock judges others."""
