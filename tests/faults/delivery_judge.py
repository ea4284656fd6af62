# SPDX-License-Identifier: Apache-2.0
#
# delivery_judge.py - compares a client's log with what each of its endpoints took in, message by message.
import collections

from world import Failure

ADDED, CHANGED, REMOVED, ASSIGNED = 1, 2, 3, 4
REROUTED = 5
COMPLAINTS = ("conflicts", "inversions", "foreign", "malformed")
LOG = ("select e.seq, e.type, e.serial_number, e.reason, e.device, i.name as instance from depbroker.events e left join depbroker.instances i"
       " on i.tenant_id = e.tenant_id and i.instance_id = e.instance_id where e.tenant_id = {id} order by e.seq")


def misrouted(data, row, slug, instance, places):
    """`instance`: whose endpoint it is, None: the client's own. `places`: where the device ever was to go."""
    serial = data.get("serial_number")
    if row is None or data["tenant"] != slug or row["serial_number"] != serial or (serial and not serial.startswith(slug.upper())):
        return True
    if instance is not None and not row["instance"] == instance == data["instance"]:
        return True
    return bool(serial) and row["instance"] is not None and row["instance"] not in places


class Inbox:
    """One endpoint's: `taken` are (id, data) of the messages that had an effect, in the order of arrival."""

    def __init__(self, slug, name, instance, taken):
        self.slug, self.name, self.instance, self.taken = slug, name, instance, taken
        self.seen = {data["seq"] for _, data in taken}

    def judge(self, log, parked, places):
        seen, last = set(), collections.defaultdict(int)
        for _, data in self.taken:
            seq, serial = data["seq"], data.get("serial_number")
            if misrouted(data, log.get(seq), self.slug, self.instance, places(serial)):
                raise Failure(f"misrouted: {self.name} was told {data}, the log has {log.get(seq)}")
            if seq in seen:
                raise Failure(f"doubled: {self.name}: event {seq} had its effect again: {data}")
            if serial and seq <= last[serial]:
                raise Failure(f"out of order: {self.name}: {serial}: event {seq} came after {last[serial]}")
            last[serial] = seq
            seen.add(seq)
        lost = self.wanted(log) - seen - parked
        if lost:
            raise Failure(f"lost: {self.name}: {len(lost)} of {len(self.wanted(log))} events, as {sorted(lost)[:5]}")

    def wanted(self, log):
        return {seq for seq, row in log.items() if self.instance in (None, row["instance"])}


def judge_lives(slug, log, removed):
    """Each serial's events are a device's life: added to an instance, told of there and there only, removed before it comes to another one;
    nothing twice, and gone for good only if Apple removed it."""
    lives = collections.defaultdict(list)
    for _, row in sorted(log.items()):
        if row["serial_number"] and row["type"] in (ADDED, CHANGED, REMOVED, ASSIGNED):
            lives[row["serial_number"]].append(row)
    for serial, events in lives.items():
        place, reasons = None, []
        for before, row in zip([None] + events, events):
            if (row["type"] == ADDED) != (place is None) or (place is not None and row["instance"] != place):
                raise Failure(f"two places, or doubled: {slug}: {serial} is at {place}: {row} of {events}")
            if before and all(before[name] == row[name] for name in ("type", "device", "instance")):
                raise Failure(f"doubled: {slug}: {serial}: {row}")
            place = None if row["type"] == REMOVED else row["instance"]
            reasons += [row["reason"]] if row["type"] == REMOVED else []
        if [reason for reason in reasons if reason != REROUTED] and serial not in removed:
            raise Failure(f"false removal: {slug}: {serial}: {events}")
        if (place is None) != (serial in removed):
            raise Failure(f"lost, or not removed: {slug}: {serial} ended at {place}: {events}")
