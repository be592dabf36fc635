"""Who answers prompts. A provider is one file and one registration (`webedt.composition`)."""
