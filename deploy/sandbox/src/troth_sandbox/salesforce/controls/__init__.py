"""The areas of the admin API beyond records, faults and the clock."""
