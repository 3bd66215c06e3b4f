"""Everything needed to run Troth without accounts."""
