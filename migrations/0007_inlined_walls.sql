-- SPDX-License-Identifier: Apache-2.0
--
-- A function with settings of its own is called, and a function in SQL is then parsed and planned again in each transaction; without, it
-- becomes part of the statement. Every policy asks for the client, so the calls were a quarter of the server's work for a poll. No wall
-- gets lower: whoever could choose another search_path could choose another client as well.
begin
	alter function depbroker.current_tenant() reset search_path;
end
