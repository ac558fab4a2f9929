"""The actions of consensus in Label Studio's Data Manager, and how they get there."""
