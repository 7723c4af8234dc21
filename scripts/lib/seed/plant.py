"""Plants volumes in Cinder's database, as many as wanted at once and as old as wanted.

    plant.py COUNT [--project P] [--age-days D] [--size GB]     plants orphans and prints their ids

A POST of one volume costs a tenth of a second, and no API sets the day on which a volume was made. So one volume of the
project, which the API did make, is copied row by row with a new id, name, size, metadata and date. From then on Cinder
cannot tell the copies from others: they are listed, attached, snapshotted and deleted through the API like any volume.
"""

import argparse
import datetime
import sqlite3
import sys
import time
import uuid

from clients import Project, Refused

DATABASE = "/var/lib/openstack/cinder.db"


def template(project):
    """The id of a fresh, available volume made by the API, to be copied from."""
    made = project.cinder("POST", "/volumes", {"volume": {"name": "template", "size": 1}})["volume"]["id"]
    for _ in range(300):
        status = project.cinder("GET", "/volumes/" + made)["volume"]["status"]
        if status == "available":
            return made
        if status == "error":
            break
        time.sleep(0.1)
    sys.exit(f"Cinder made no volume in project {project.name}: it is {status}")


def rows(db, table, where, value):
    return [dict(row) for row in db.execute(f"select * from {table} where {where} = ? and not deleted", (value,))]


def insert(db, table, row):
    marks = ",".join("?" * len(row))
    db.execute(f"insert into {table} ({','.join(row)}) values ({marks})", list(row.values()))


def plant(project, wanted, model=None):
    """Plants the wanted volumes: dicts of id, name, size, days, metadata, bootable. One transaction."""
    first = model or template(project)
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    with sqlite3.connect(DATABASE, timeout=60) as db:
        db.row_factory = sqlite3.Row
        db.execute("begin immediate")
        (pattern,) = rows(db, "volumes", "id", first)
        admin_metadata = rows(db, "volume_admin_metadata", "volume_id", first)
        for volume in wanted:
            made = now - datetime.timedelta(days=volume["days"])
            stamp = made.isoformat(sep=" ", timespec="microseconds")
            ready = (made + datetime.timedelta(seconds=2)).isoformat(sep=" ", timespec="microseconds")
            insert(db, "volumes", dict(
                pattern, id=volume["id"], display_name=volume["name"], size=volume["size"], created_at=stamp,
                scheduled_at=stamp, launched_at=ready, updated_at=ready, bootable=int(volume.get("bootable", False)),
                status="available", attach_status="detached",
                display_description=volume.get("description", "Created by OpenStack Cinder CSI driver"),
            ))
            for key, value in volume.get("metadata", {}).items():
                insert(db, "volume_metadata", {
                    "created_at": stamp, "deleted": 0, "volume_id": volume["id"], "key": key, "value": value,
                })
            for row in admin_metadata:
                row = dict(row, volume_id=volume["id"])
                del row["id"]
                insert(db, "volume_admin_metadata", row)
        # What the project uses is counted apart, and a deletion takes from that count.
        total = sum(volume["size"] for volume in wanted)
        for resource, amount in (("volumes", len(wanted)), ("gigabytes", total)):
            db.execute(
                "update quota_usages set in_use = in_use + ? where project_id = ? and (resource = ? or resource like ? escape '\\')",
                (amount, project.id, resource, resource + "\\_\\_%"),
            )
    if not model:
        project.cinder("DELETE", "/volumes/" + first)


def main():
    parser = argparse.ArgumentParser(description="plants orphaned volumes, and prints their ids")
    parser.add_argument("count", type=int)
    parser.add_argument("--project", default="alpha")
    parser.add_argument("--age-days", type=float, default=60)
    parser.add_argument("--size", type=int, default=1)
    args = parser.parse_args()
    if args.count < 1:
        parser.error("COUNT is at least 1")
    try:
        project = Project(f"{args.project}-operator", f"{args.project}-operator", args.project)
    except Refused as error:
        sys.exit(f"no project {args.project}: {error}")
    wanted = [
        {"id": str(uuid.uuid4()), "name": f"pvc-{uuid.uuid4()}", "size": args.size, "days": args.age_days,
         "metadata": {"cinder.csi.openstack.org/cluster": "kubernetes"}}
        for _ in range(args.count)
    ]
    plant(project, wanted)
    print("\n".join(volume["id"] for volume in wanted))


if __name__ == "__main__":
    main()
