"""The platform's HTTP API: what is asked, what is answered, and one client a role over whatever sends for it."""
