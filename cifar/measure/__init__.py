"""How it is measured on this node: devices, environment, campaign."""
