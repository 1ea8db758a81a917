"""What copies of the bidder share: user profiles, embedded or in Redis/Valkey, behind one Protocol."""
