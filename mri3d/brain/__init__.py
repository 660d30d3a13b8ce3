"""The brain in a scan: extracted, and aligned with the template MNI152."""
