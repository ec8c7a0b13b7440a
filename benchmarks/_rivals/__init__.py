"""What a user would try instead of the package: one file a rival, tuned on the source's raters alone."""
