"""How it is measured on this node: environment, source, meter, campaign, doctor and replay."""
