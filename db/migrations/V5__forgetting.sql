-- Tokens are forgotten after their own end: a family that is refreshed for years keeps only its last ones.
ALTER TABLE refresh_tokens ADD KEY ix_refresh_tokens_expiry (expires_at);
