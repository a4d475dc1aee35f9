"""What answers HTTP: `api` for Koppel, `page` for people in Creme's pages."""
