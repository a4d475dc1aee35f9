"""The lab's Creme project: settings, set-up, seeding and server. Runs inside Creme's own venv."""
