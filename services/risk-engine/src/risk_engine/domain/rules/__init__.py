"""One module per kind of alert; each is a pure function from what is known to a finding or None."""

from risk_engine.domain.rules.late_forecast import late_forecast
from risk_engine.domain.rules.oversold import oversold
from risk_engine.domain.rules.unlinked_commitment import unlinked_commitment

__all__ = ["late_forecast", "oversold", "unlinked_commitment"]
