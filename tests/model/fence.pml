// SPDX-License-Identifier: Apache-2.0
//
// fence.pml - who may write a client's rows: the protocol of server/store/stream.c and server/worker/fenced_write.c, for spin.
//
// A process takes the client (the epoch grows) when nobody has it, it has it itself, or its owner's heart-beat is old. Each write proves
// owner, epoch and write number in the transaction that makes it. Processes stop and go on at any place, however long, and crash;
// heart-beats grow old while their process goes on; a transaction whose answer nobody waits for any more may still be made, later.
//
// Without an option the protocol as it is: every page is applied once and in order. These two must fail:
//   -DTIME_CHECK  instead of the fence, the writer looks whether its heart-beat is fresh, and then writes
//   -DSPLIT       rows are one transaction, the cursor is another one
//   -DNEVER_DONE  as it is, but said that the last page is never applied: what is proved is not proved of a model that does nothing
#define PAGES   3
#define WORKERS 2
#define EPOCHS  4
#define NOBODY  255

// The client's row
byte epoch = 0;
byte owner = NOBODY;
byte write_seq = 0;
byte cursor = 0;
// What was applied
byte applied = 0;
bool twice = false;
bool missed = false;

bool fresh[WORKERS] = true; // heart-beats, by the database's clock

// A transaction that its sender gave up; one is enough, since a later one only meets a row that has moved on.
bool on_wire = false;
byte wire_owner, wire_epoch, wire_seq, wire_page;

inline apply(page)
{
	if
	:: page < applied -> twice = true
	:: page > applied -> missed = true
	:: else -> applied++
	fi
}

inline write(me, my_epoch, my_seq, page)
{
	if
	:: owner == me && epoch == my_epoch && write_seq == my_seq ->
		apply(page);
		cursor = page + 1;
		write_seq++
	:: else -> skip
	fi
}

proctype Heartbeats()
{
	byte at;
	do
	:: cursor == PAGES -> break
	:: atomic { cursor < PAGES -> select(at : 0 .. WORKERS - 1); fresh[at] = !fresh[at] }
	od
}

proctype Wire()
{
	do
	:: cursor == PAGES -> break
	:: atomic { on_wire -> write(wire_owner, wire_epoch, wire_seq, wire_page); on_wire = false }
	:: atomic { on_wire -> on_wire = false } // it is never made
	od
}

proctype Worker(byte me)
{
	byte my_epoch, my_seq, page;
begin:
	atomic {
		my_epoch = 0; my_seq = 0; page = 0;
		if
		:: cursor == PAGES || epoch == EPOCHS -> goto done // EPOCHS bounds the states
		:: cursor < PAGES && epoch < EPOCHS && (owner == NOBODY || owner == me || !fresh[owner]) ->
			epoch++;
			owner = me;
			my_epoch = epoch;
			my_seq = write_seq;
			page = cursor
		fi
	}
next:
	if
	:: page == PAGES -> goto finish
	:: page < PAGES -> skip // Apple is asked: everything may happen meanwhile
	:: goto begin           // a crash
	fi;
send:
#ifdef TIME_CHECK
	if
	:: fresh[me] && owner == me -> skip
	:: else -> goto begin
	fi;
	atomic { apply(page); cursor = page + 1; write_seq++ };
	page++;
	goto next;
#endif
#ifdef SPLIT
	atomic {
		if
		:: owner == me && epoch == my_epoch && write_seq == my_seq -> apply(page)
		:: else -> goto begin
		fi
	};
	if
	:: skip
	:: goto begin // a crash between the two
	fi;
	atomic {
		if
		:: owner == me && epoch == my_epoch && write_seq == my_seq -> cursor = page + 1; write_seq++; my_seq++; page++
		:: else -> goto begin
		fi
	};
	goto next;
#endif
	if
	:: goto answered
	:: goto unanswered
	:: goto read_back // lost on its way
	:: atomic { !on_wire -> on_wire = true; wire_owner = me; wire_epoch = my_epoch; wire_seq = my_seq; wire_page = page }; goto read_back
	fi;
answered:
	atomic {
		if
		:: owner == me && epoch == my_epoch && write_seq == my_seq -> write(me, my_epoch, my_seq, page); my_seq++; page++; goto next
		:: else -> goto begin // refused: begin anew from what is stored
		fi
	}
unanswered: // made or refused, and nobody hears of it
	atomic { write(me, my_epoch, my_seq, page) };
read_back:
	atomic {
		if
		:: epoch != my_epoch -> goto begin
		:: epoch == my_epoch && write_seq == my_seq + 1 -> my_seq++; page++; goto next
		:: epoch == my_epoch && write_seq == my_seq && owner == me -> goto send
		:: else -> goto begin
		fi
	}
finish:
	atomic {
		if
		:: owner == me && epoch == my_epoch && write_seq == my_seq -> owner = NOBODY; write_seq++
		:: else -> skip
		fi
	}
	goto begin;
done:
	skip
}

// Whatever is applied is applied in order and once, and the cursor says how far.
active proctype Laws()
{
#ifdef NEVER_DONE
	atomic { cursor == PAGES -> assert(false) };
#endif
	atomic { twice || missed || cursor < applied - 1 || applied < cursor -> assert(false) }
}

init
{
	atomic {
		run Heartbeats();
		run Wire();
		byte number = 0;
		do
		:: number < WORKERS -> run Worker(number); number++
		:: else -> break
		od
	}
}
