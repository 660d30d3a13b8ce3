"""What training scans are like, and how a new scan compares with them."""
