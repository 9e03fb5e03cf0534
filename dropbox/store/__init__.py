"""Where cells lie: preallocated files that look the same whatever came, when, and for whom. SPEC section 18."""

from dropbox.store.change import Change
from dropbox.store.deposit import Deposit, Outcome, SlotWriter
from dropbox.store.founding import Status, status
from dropbox.store.store import Room, Store, Work

__all__ = ["Change", "Deposit", "Outcome", "Room", "SlotWriter", "Status", "Store", "Work", "status"]
