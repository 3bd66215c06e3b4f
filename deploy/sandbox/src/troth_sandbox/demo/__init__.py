"""The whole product on one machine against simulated vendors, and the judge of what it found."""
