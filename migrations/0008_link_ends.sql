-- SPDX-License-Identifier: Apache-2.0
--
-- A renewal link that was taken back, and the private key of one that nobody used.

begin
	alter table depbroker.renewal_links
		add column revoked_at timestamptz,
		add column key_dropped_at timestamptz; -- its private key went, unless a token was made with it
	grant update (revoked_at, key_dropped_at) on depbroker.renewal_links to depbroker_api;
	create index renewal_links_unused on depbroker.renewal_links (expires_at) where used_at is null and key_dropped_at is null;
end
