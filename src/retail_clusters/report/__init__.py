"""What people look at: profiles, charts, cards, and one page of all."""
