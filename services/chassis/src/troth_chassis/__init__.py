"""What every Troth service needs once and no domain knows."""
