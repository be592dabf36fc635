"""What WebEDT does: log people in, accept prompts, drive runs, keep lists, clean up. Knows no HTTP."""
