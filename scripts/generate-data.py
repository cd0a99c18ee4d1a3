#!/usr/bin/env python3
"""Writes the example's data files: contacts, namespaces, memberships and activities of an invented company, and what
Iterable and Marketo know of them before the first sync.

    scripts/generate-data.py             write data/ and sandbox.json (the committed files, day 0)
    scripts/generate-data.py --check     fail when they are not what this script writes
    scripts/generate-data.py --day 1     data/ as it looks a day later: some rows changed, some gone, some new

The same arguments give the same bytes on every machine: Python 3.8 or newer, nothing to install. Only
`random.Random.random` is used, the one method whose sequence Python keeps from version to version.
Every person is invented, and every address ends in example.com or example.org.
"""

import argparse
import csv
import datetime
import io
import json
import pathlib
import random
import sys
import unicodedata

CONTACTS = 1500
NAMESPACES = 600
START = datetime.datetime(2021, 1, 4, 8, 0, 0)
TODAY = datetime.datetime(2026, 11, 20, 0, 0, 0)

# country, dialling code, digits of a number after it, first names, last names; (shown, spelled in an address) where
# the letters are not Latin
PEOPLE = [
    ("DE", "49", 10, ["Jürgen", "Anja", "Sören", "Käthe", "Lukas", "Mia", "Jörg", "Birgit"],
     ["Müller", "Weiß", "Schröder", "Krüger", "Becker", "Vogel", "Lang", "Günther"]),
    ("US", "1", 10, ["Ada", "Grace", "Marcus", "Olivia", "Ethan", "Naomi", "Jamal", "Riley"],
     ["Johnson", "O'Neill", "Carter", "Nguyen", "Brooks", "Ramirez", "Smith-Jones", "Hughes"]),
    ("FR", "33", 9, ["Zoë", "François", "Hélène", "Théo", "Chloé", "Benoît", "Agnès", "Loïc"],
     ["Lefèvre", "Moreau", "Dubois", "Garçon", "Rousseau", "Bélanger", "Petit", "Noël"]),
    ("ES", "34", 9, ["José", "María", "Íñigo", "Begoña", "Álvaro", "Lucía", "Sofía", "Andrés"],
     ["García", "Núñez", "Ibáñez", "Muñoz", "Pérez", "Castaño", "Vega", "Ordóñez"]),
    ("PL", "48", 9, ["Łukasz", "Agnieszka", "Paweł", "Małgorzata", "Wojciech", "Zofia", "Grażyna", "Michał"],
     ["Wójcik", "Kowalczyk", "Dąbrowska", "Żak", "Zieliński", "Śliwa", "Nowak", "Kaźmierczak"]),
    ("DK", "45", 8, ["Søren", "Åse", "Mads", "Freja", "Jørgen", "Kirsten", "Bjørn", "Astrid"],
     ["Sørensen", "Østergaard", "Nielsen", "Kjær", "Bæk", "Holm", "Ågaard", "Lund"]),
    ("BR", "55", 11, ["João", "Conceição", "Thaís", "Márcio", "Letícia", "Caio", "Antônio", "Inês"],
     ["Gonçalves", "Araújo", "Silva", "Magalhães", "Falcão", "Souza", "Brandão", "Lima"]),
    ("CZ", "420", 9, ["Jiří", "Šárka", "Ondřej", "Kateřina", "Tomáš", "Věra", "Zdeněk", "Lenka"],
     ["Novák", "Dvořák", "Svoboda", "Procházka", "Černý", "Růžička", "Beneš", "Kříž"]),
    ("JP", "81", 10, [("太郎", "taro"), ("花子", "hanako"), ("健", "ken"), ("さくら", "sakura"), ("翔", "sho")],
     [("山田", "yamada"), ("佐藤", "sato"), ("鈴木", "suzuki"), ("高橋", "takahashi"), ("渡辺", "watanabe")]),
    ("UA", "380", 9, [("Олена", "olena"), ("Тарас", "taras"), ("Ірина", "iryna"), ("Богдан", "bohdan")],
     [("Шевченко", "shevchenko"), ("Коваль", "koval"), ("Бондар", "bondar"), ("Лисенко", "lysenko")]),
    ("IN", "91", 10, ["Ananya", "Rahul", "Priya", "Vikram", "Deepa", "Arjun", "Kavya", "Sanjay"],
     ["Iyer", "Sharma", "Patel", "Banerjee", "Reddy", "Menon", "Gupta", "Kulkarni"]),
    ("GB", "44", 10, ["Siân", "Callum", "Imogen", "Rhys", "Freya", "Alistair", "Niamh", "Harriet"],
     ["Hughes", "MacLeod", "Patterson", "Llewellyn", "Whitaker", "Fraser", "Ashworth", "Bell"]),
]
COMPANIES = ["Nordlicht", "Blue Harbor", "Montclair", "Río Claro", "Kestrel", "Ångström", "Juniper & Sons", "Tidewater",
             "Café Noir", "Solstice", "Ironwood", "Meridian", "Zażółć", "Pinnacle", "Quill", "Lumen", "東海", "Orchard"]
TRADES = ["Analytics", "Robotics", "Bank", "Health", "Logistics", "Software", "Studio", "Energy", "Labs", "Retail"]
TITLES = ["Backend Developer", "Engineering Manager", "Head of Platform", "Data Engineer", "CTO", "QA Lead",
          "Site Reliability Engineer", "Product Owner", "Security Engineer", "Marketing Operations Manager"]
ACTIVITIES = [("started_trial", 30), ("invited_teammate", 10), ("created_first_project", 15), ("viewed_pricing", 5),
              ("opened_docs", 1)]
UNSPELLED = str.maketrans({"ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "æ": "ae", "å": "aa", "Å": "aa"})


class Dice:
    """Deterministic choices made of `random.Random.random` alone."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def below(self, limit):
        return int(self.rng.random() * limit)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def weighted(self, items):
        """`items` are (value, weight) pairs."""
        at = self.rng.random() * sum(weight for _, weight in items)
        for value, weight in items:
            at -= weight
            if at < 0:
                return value
        return items[-1][0]

    def chance(self, share):
        return self.rng.random() < share


def ascii_of(text):
    """The text in lower-case Latin letters and digits, words joined by `-`; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", text.translate(UNSPELLED)).encode("ascii", "ignore").decode()
    kept = "".join(c if c.isalnum() or c in " -" else "" for c in plain.lower())
    return "-".join(kept.split())


def moment(dice, low, high):
    seconds = int((high - low).total_seconds())
    return low + datetime.timedelta(seconds=dice.below(seconds))


def stamp(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(entry):
    return entry if isinstance(entry, tuple) else (entry, ascii_of(entry))


def phone(dice, code, digits):
    number = str(dice.between(2, 9)) + "".join(str(dice.below(10)) for _ in range(digits - 1))
    return f"+{code} {number[:3]} {number[3:]}"


def new_contact(dice, contact_id, taken, when):
    country, code, digits, firsts, lasts = dice.pick(PEOPLE)
    (first, first_ascii), (last, last_ascii) = name_of(dice.pick(firsts)), name_of(dice.pick(lasts))
    local, domain = f"{first_ascii}.{last_ascii}", dice.weighted([("example.com", 3), ("example.org", 1)])
    taken[local] = taken.get(local, 0) + 1
    if taken[local] > 1:
        local = f"{local}{taken[local]}"
    return {
        "contact_id": contact_id,
        # Typed by people: some start with a capital letter. Never the same address twice, whatever the case.
        "email": f"{local.title() if dice.chance(0.04) else local}@{domain}",
        "first_name": first,
        "last_name": last,
        "country": country,
        "phone": phone(dice, code, digits) if dice.chance(0.7) else "",
        "job_title": dice.pick(TITLES),
        "marketing_opt_in": "true" if dice.chance(0.8) else "false",
        "created_at": stamp(when),
    }


def new_namespace(dice, namespace_id, taken, when):
    name = f"{dice.pick(COMPANIES)} {dice.pick(TRADES)}"
    path = ascii_of(name)
    taken[path] = taken.get(path, 0) + 1
    if taken[path] > 1:
        name, path = f"{name} {taken[path]}", f"{path}-{taken[path]}"
    plan = dice.weighted([("free", 70), ("premium", 22), ("ultimate", 8)])
    seats = {"free": dice.between(1, 5), "premium": dice.between(5, 120), "ultimate": dice.between(20, 900)}[plan]
    trial = when + datetime.timedelta(days=dice.between(0, 60)) if plan != "free" or dice.chance(0.2) else None
    return {
        "namespace_id": namespace_id,
        "name": name,
        "path": path,
        "plan": plan,
        "seats": seats,
        "trial_starts_on": trial.strftime("%Y-%m-%d") if trial else None,
        "trial_ends_on": (trial + datetime.timedelta(days=30)).strftime("%Y-%m-%d") if trial else None,
        "created_at": stamp(when),
    }


def day_zero():
    dice = Dice("syncline example")
    emails, paths = {}, {}
    contacts = [new_contact(dice, 100001 + i, emails, moment(dice, START, TODAY)) for i in range(CONTACTS)]
    # A handful of unknown job titles: nulls in a column that identifies nobody.
    for _ in range(7):
        dice.pick(contacts)["job_title"] = ""
    namespaces = [new_namespace(dice, 5001 + i, paths, moment(dice, START, TODAY)) for i in range(NAMESPACES)]
    memberships, activities = [], []
    for contact in contacts:
        joined = set()
        for _ in range(dice.weighted([(0, 5), (1, 55), (2, 25), (3, 10), (5, 5)])):
            # The first namespaces of the file are the big ones.
            namespace = namespaces[int(dice.rng.random() ** 2 * NAMESPACES)]
            if namespace["namespace_id"] in joined:
                continue
            joined.add(namespace["namespace_id"])
            before = memberships[-1] if len(joined) > 1 else None
            memberships.append(new_membership(dice, contact, namespace, before))
            if dice.chance(0.35):
                activities.append(new_activity(dice, 1 + len(activities), contact, namespace))
    return {"contacts": contacts, "namespaces": namespaces, "memberships": memberships, "activities": activities}


def new_membership(dice, contact, namespace, before):
    low = max(contact["created_at"], namespace["created_at"])
    low_moment = datetime.datetime.strptime(low, "%Y-%m-%dT%H:%M:%SZ")
    when = stamp(moment(dice, low_moment, TODAY + datetime.timedelta(hours=1)))
    # Two invitations accepted with one click: the moment of joining alone does not say which namespace was first.
    if before and before["joined_at"] >= low and dice.chance(0.2):
        when = before["joined_at"]
    return {
        "contact_id": contact["contact_id"],
        "namespace_id": namespace["namespace_id"],
        "access_level": dice.weighted([(10, 10), (20, 15), (30, 50), (40, 15), (50, 10)]),
        "joined_at": when,
    }


def new_activity(dice, number, contact, namespace):
    name, score = dice.pick(ACTIVITIES)
    return {
        "activity_id": f"act-{number:06}",
        "email": contact["email"].lower(),
        "activity": name,
        "namespace_id": namespace["namespace_id"],
        "namespace_name": namespace["name"],
        "score": score,
        "occurred_at": stamp(moment(dice, START, TODAY)),
    }


def a_day_later(data, day):
    """Changes 1 % of the contacts and namespaces, takes five contacts away with all they have, adds twelve."""
    dice = Dice(f"syncline example, day {day}")
    contacts, namespaces = data["contacts"], data["namespaces"]
    for contact in sorted({dice.below(len(contacts)) for _ in range(30)}):
        contacts[contact]["job_title"] = dice.pick(TITLES)
        contacts[contact]["country"] = dice.pick(PEOPLE)[0]
    for namespace in sorted({dice.below(len(namespaces)) for _ in range(9)}):
        namespaces[namespace]["plan"] = "premium" if namespaces[namespace]["plan"] == "free" else "ultimate"
        namespaces[namespace]["seats"] += 25
    gone = {dice.pick(contacts)["contact_id"] for _ in range(5)}
    gone_emails = {c["email"].lower() for c in contacts if c["contact_id"] in gone}
    data["contacts"] = [c for c in contacts if c["contact_id"] not in gone]
    data["memberships"] = [m for m in data["memberships"] if m["contact_id"] not in gone]
    data["activities"] = [a for a in data["activities"] if a["email"] not in gone_emails]
    emails = {}
    for _ in range(12):
        contact_id = max(c["contact_id"] for c in data["contacts"]) + 1
        contact = new_contact(dice, contact_id, emails, TODAY + datetime.timedelta(days=day))
        contact["email"] = f"day{day}.{contact['email'].lower()}"
        data["contacts"].append(contact)
        namespace = dice.pick(namespaces)
        when = stamp(TODAY + datetime.timedelta(days=day, hours=2))
        data["memberships"].append({"contact_id": contact_id, "namespace_id": namespace["namespace_id"],
                                    "access_level": 30, "joined_at": when})
    return data


def sandbox(data):
    """Everybody signed up at some time, so nearly everybody is known: one in 25 is not, which shows what an update does
    with whom it does not find."""
    known = [c for n, c in enumerate(data["contacts"]) if n % 25 != 24]
    leads = [c for n, c in enumerate(data["contacts"]) if n % 40 != 39]
    return {
        "iterable": {
            "users": [{"email": c["email"].lower(), "dataFields": {"signup_source": "website", "lifecycle": "trial"}}
                      for c in known],
        },
        "marketo": {
            "leads": [{"email": c["email"].lower(), "firstName": c["first_name"], "lastName": c["last_name"]}
                      for c in leads],
            "activity_types": [{
                "id": 100001,
                "apiName": "productActivity",
                "name": "Product activity",
                "primaryAttribute": {"name": "activity", "dataType": "string"},
                "attributes": [{"name": "summary", "dataType": "string"}, {"name": "score", "dataType": "integer"}],
            }],
        },
    }


def as_lines(seed):
    """One person a line."""
    return json.dumps(seed, ensure_ascii=False).replace('}, {', '},\n {').replace('[{', '[\n {') + "\n"


def as_csv(rows):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail when the files differ, write nothing")
    parser.add_argument("--day", type=int, default=0, metavar="N", help="the data N days later (default 0)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent / "data")
    arguments = parser.parse_args()

    data = day_zero()
    for day in range(1, arguments.day + 1):
        data = a_day_later(data, day)
    files = {
        "contacts.csv": as_csv(data["contacts"]),
        "namespaces.jsonl": as_jsonl(data["namespaces"]),
        "memberships.csv": as_csv(data["memberships"]),
        "activities.jsonl": as_jsonl(data["activities"]),
    }
    if arguments.day == 0:
        files["../sandbox.json"] = as_lines(sandbox(data))
    stale = []
    for name, text in files.items():
        path, wanted = arguments.out / name, text.encode()
        if arguments.check:
            if not path.is_file() or path.read_bytes() != wanted:
                stale.append(str(path))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted)
        rows = len(data.get(name.split(".")[0], [])) or text.count("\n")
        print(f"{path.name}: {rows} rows, {len(wanted)} bytes", file=sys.stderr)
    if stale:
        sys.exit(f"not what scripts/generate-data.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
