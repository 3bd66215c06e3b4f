"""Does the forecast keep its word? Past sprints, forecast from what was known before them, say so."""
