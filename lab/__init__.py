"""The lab: real systems that nobody here wrote, installed, set up, started, stopped and reset."""
