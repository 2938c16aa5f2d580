"""Pure decisions: what each part of a prompt is, which rule applies to it, and why."""
