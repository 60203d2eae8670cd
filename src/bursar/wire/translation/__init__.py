"""From one dialect to another: a caller's chat sent to a provider that speaks Anthropic's messages only."""
