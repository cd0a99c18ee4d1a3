"""Iterable as its documents describe it: an email-based project, or one that knows people by id."""

import copy

LIMIT_BYTES, LIMIT_RECORDS = 4 * 1024 * 1024, 1000
PERSON = {"email": str, "userId": str}
NUMBER = (int, float)


def merge(old, new, nested):
    for name, value in new.items():
        if value is None:
            old.pop(name, None)
        elif nested and isinstance(value, dict) and isinstance(old.get(name), dict):
            merge(old[name], value, True)
        else:
            old[name] = {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def kind_of(value):
    for kind, types in (("boolean", bool), ("long", int), ("double", float), ("string", str), ("object", dict)):
        if isinstance(value, types):
            return kind
    return "list"


class Iterable:
    def __init__(self, config, rate):
        self.key = config.get("api_key", "key")
        self.by = config.get("project", "email")
        self.users = {self.name(user): copy.deepcopy(user) for user in config.get("users", [])}
        self.forgotten = set(config.get("forgotten", []))
        self.disallowed = set(config.get("disallowed", []))
        self.types = dict(config.get("fields", {}))
        self.lists = {row["id"]: dict(row, members=list(row.get("members", []))) for row in config.get("lists", [])}
        self.events, self.purchases, self.subscriptions, self.catalogs = {}, {}, {}, {}
        self.rates = {
            "POST /api/users/bulkUpdate": rate(5, 1), "POST /api/events/trackBulk": rate(10, 1),
            "GET /api/users/getByEmail": rate(100, 1), "GET /api/users/byUserId": rate(100, 1),
            "GET /api/lists": rate(100, 1), "POST /api/lists": rate(100, 1), "GET /api/users/getFields": rate(3, 1),
            "DELETE /api/users": rate(100, 1), "POST /api/users/forget": rate(3, 1), "POST catalogs": rate(100, 1),
        }

    def name(self, person):
        """What a person is known by here; None when it is not said."""
        return person.get("email", "").lower() or None if self.by == "email" else person.get("userId")

    def dump(self):
        return {
            "users": self.users, "events": list(self.events.values()), "purchases": list(self.purchases.values()),
            "lists": list(self.lists.values()), "subscriptions": self.subscriptions, "catalogs": self.catalogs,
        }

    def refused(self, kind):
        if kind == "429":
            return 429, {"msg": "Exceeded rate limit for endpoint", "code": "RateLimitExceeded", "params": {}}
        return None

    def begin(self, request):
        if "api_key" in request.query:
            request.wrong("the key is in the query")
        if request.headers.get("Api-Key") != self.key:
            return 401, {"msg": "Invalid API key", "code": "Success", "params": None}
        route = f"{request.method} {request.path}"
        if request.method == "DELETE" and request.path.startswith("/api/users/"):
            route = "DELETE /api/users"
        if request.method == "POST" and request.path.startswith("/api/catalogs/"):
            route = "POST catalogs"
        rate = self.rates.get(route)
        if rate and rate.over():
            request.wrong("faster than the rate limit")
            return self.refused("429")
        if len(request.body) > LIMIT_BYTES:
            request.wrong(f"{len(request.body)} bytes")
            return 413, {"msg": "too large", "code": "BatchTooLarge", "params": None}
        return None

    def end(self, request):
        pass

    def answer(self, request):
        route = (request.method, request.path)
        known = {
            ("POST", "/api/users/bulkUpdate"): self.bulk_update,
            ("POST", "/api/events/trackBulk"): self.track_bulk,
            ("POST", "/api/commerce/trackPurchase"): self.purchase,
            ("POST", "/api/users/bulkUpdateSubscriptions"): self.subscribe_many,
            ("GET", "/api/users/getByEmail"): self.by_email,
            ("GET", "/api/users/byUserId"): self.by_id,
            ("GET", "/api/users/getFields"): lambda _: (200, {"fields": self.types}),
            ("GET", "/api/lists"): self.get_lists,
            ("POST", "/api/lists"): self.make_list,
            ("POST", "/api/lists/subscribe"): self.subscribe,
            ("POST", "/api/lists/unsubscribe"): self.unsubscribe,
            ("GET", "/api/channels"): lambda _: (200, {"channels": []}),
        }
        if route in known:
            return known[route](request)
        if request.method == "DELETE" and request.path.startswith("/api/users/"):
            return self.delete(request)
        if request.method == "POST" and request.path.startswith("/api/catalogs/"):
            return self.catalog(request)
        request.wrong("no such endpoint")
        return 404, {"code": "NotFound", "msg": "", "params": None}

    # -- people ---------------------------------------------------------------------------------------------------

    def person(self, request, person, what):
        given = [name for name in ("email", "userId") if person.get(name) is not None]
        if len(given) != 1:
            request.wrong(f"{what} names a person by {given}")
            return False
        return True

    def unique(self, request, people):
        names = [(person.get("email") or "").lower() or person.get("userId") for person in people]
        if len(set(names)) != len(names):
            request.wrong("a person is twice in one request: failures are named by person")
        if len(people) > LIMIT_RECORDS:
            request.wrong(f"{len(people)} records")
        if not people:
            request.wrong("no records")

    def mismatches(self, people):
        wrong = {}
        for person in people:
            for field, value in (person.get("dataFields") or {}).items():
                kind, known = kind_of(value), self.types.get(field)
                fits = known in (None, kind) or (known == "double" and kind == "long") or (known == "date" and kind == "string")
                if value is not None and not fits:
                    wrong[f"project:::{field}"] = {
                        "incomingTypes": [kind], "expectedType": known, "category": "user", "offendingValue": value,
                        "_type": "UnexpectedType"}
        if wrong:
            return 400, {"code": "RequestFieldsTypesMismatched", "msg": "Type mismatch", "params": {"validationErrors": wrong}}
        for person in people:
            for field, value in (person.get("dataFields") or {}).items():
                if value is not None:
                    self.types.setdefault(field, kind_of(value))
        return None

    def write_user(self, person):
        name = self.name(person)
        user = self.users.setdefault(name, {**({"email": name} if self.by == "email" else {"userId": name}), "dataFields": {}})
        merge(user["dataFields"], person.get("dataFields") or {}, person.get("mergeNestedObjects", False))

    def failures(self, request, people, kind="invalidData"):
        """(good ones, failedUpdates) as bulk calls answer."""
        failed = {f"{kind}{of}": [] for kind in ("conflict", "forgotten", "invalidData", "invalid") for of in ("Emails", "UserIds")}
        good = []
        for person in people:
            shown = person.get("email") or person.get("userId")
            of = "Emails" if "email" in person else "UserIds"
            if of == "Emails" and ("@" not in shown or " " in shown):
                failed["invalidEmails"].append(shown.lower())
            elif self.name(person) in self.forgotten:
                failed["forgotten" + of].append(shown.lower() if of == "Emails" else shown)
            elif request.partial and request.partial in shown:
                failed[kind + of].append(shown.lower() if of == "Emails" else shown)
            else:
                good.append(person)
        return good, failed

    @staticmethod
    def counts(people, good, failed, **more):
        return 200, {"successCount": len(good), "failCount": len(people) - len(good), "invalidEmails": failed["invalidEmails"],
                     "invalidUserIds": failed["invalidUserIds"], "failedUpdates": failed, "createdFields": [], "filteredOutFields": [], **more}

    def bulk_update(self, request):
        body = request.json()
        types = {**PERSON, "dataFields": dict, "preferUserId": bool, "mergeNestedObjects": bool}
        if body is None or not request.shape(body, {"users": list, "createNewFields": bool}, ["users"]):
            return 400, {"code": "BadJsonBody", "msg": "", "params": None}
        people = body["users"]
        if not all(request.shape(p, types, what="a user") and self.person(request, p, "a user") for p in people):
            return 400, {"code": "BadParams", "msg": "", "params": None}
        self.unique(request, people)
        refused = self.mismatches(people)
        if refused:
            return refused
        good, failed = self.failures(request, people)
        for person in good:
            self.write_user(person)
        return self.counts(people, good, failed)

    def found(self, name):
        user = self.users.get(name)
        return (200, {"user": user}) if user else None

    def by_email(self, request):
        request.only_query("email")
        email = request.query.get("email", "")
        if "@" not in email:
            request.wrong("no address")
        return self.found(email.lower()) or (200, {})

    def by_id(self, request):
        request.only_query("userId")
        missing = 400, {"code": "error.users.noUserWithIdExists", "msg": "", "params": None}
        return self.found(request.query.get("userId")) or missing

    def delete(self, request):
        if request.body:
            request.wrong("a body")
        name = request.path.removeprefix("/api/users/").removeprefix("byUserId/")
        name = name.lower() if self.by == "email" else name
        if self.users.pop(name, None) is None:
            return 400, {"code": "BadParams", "msg": f"User does not exist. Email: {name} UserId: ", "params": None}
        return 200, {"code": "Success", "msg": "", "params": None}

    # -- events, purchases ----------------------------------------------------------------------------------------

    def remember(self, request, place, record):
        known = place.get(record.get("id"))
        if known is not None and known != record:
            request.wrong(f"the id {record['id']} comes with another content than before")
        place[record.get("id") or f"without id {len(place)}"] = record

    def track_bulk(self, request):
        body = request.json()
        types = {**PERSON, "eventName": str, "id": str, "createdAt": int, "dataFields": dict, "campaignId": int,
                 "templateId": int, "createNewFields": bool}
        if body is None or not request.shape(body, {"events": list}, ["events"]):
            return 400, {"code": "BadJsonBody", "msg": "", "params": None}
        events = body["events"]
        if not all(request.shape(e, types, ["eventName"], "an event") and self.person(request, e, "an event") for e in events):
            return 400, {"code": "BadParams", "msg": "", "params": None}
        if not 0 < len(events) <= LIMIT_RECORDS:
            request.wrong(f"{len(events)} events")
        if any(len(event.get("id", "").encode()) > 512 for event in events):
            request.wrong("an id of more than 512 bytes")
        ids = [event["id"] for event in events if "id" in event]
        if len(set(ids)) != len(ids):
            request.wrong("an id is twice in one request")
        good, failed = self.failures(request, events, "invalid")
        blocked = sorted({event["eventName"] for event in good} & self.disallowed)
        good = [event for event in good if event["eventName"] not in blocked]
        for event in good:
            self.remember(request, self.events, event)
            self.write_user({"email": event["email"]} if "email" in event else {"userId": event["userId"]})
        return self.counts(events, good, failed, disallowedEventNames=blocked)

    def purchase(self, request):
        body = request.json()
        types = {"user": dict, "items": list, "total": NUMBER, "id": str, "createdAt": int, "dataFields": dict,
                 "campaignId": int, "templateId": int}
        item = {"id": str, "sku": str, "name": str, "price": NUMBER, "quantity": int, "categories": list}
        if (body is None or not request.shape(body, types, ["user", "items", "total"])
                or not request.shape(body["user"], {**PERSON, "dataFields": dict}, what="the user")
                or not self.person(request, body["user"], "the user")
                or not all(request.shape(i, item, ["id", "name", "price", "quantity"], "an item") for i in body["items"])):
            return 400, {"code": "BadParams", "msg": "", "params": None}
        shown = body["user"].get("email") or body["user"].get("userId")
        if request.partial and request.partial in shown:
            return 400, {"code": "BadParams", "msg": "invalid data", "params": None}
        self.remember(request, self.purchases, body)
        self.write_user(body["user"])
        return 200, {"code": "Success", "msg": "", "params": None}

    def subscribe_many(self, request):
        body = request.json()
        numbers = ("emailListIds", "unsubscribedChannelIds", "unsubscribedMessageTypeIds", "subscribedMessageTypeIds")
        types = {**PERSON, **{name: list for name in numbers}, "campaignId": int, "templateId": int, "validateChannelAlignment": bool}
        key = "updateSubscriptionsRequests"
        if body is None or not request.shape(body, {key: list}, [key]):
            return 400, {"code": "BadJsonBody", "msg": "", "params": None}
        people = body[key]
        if not all(request.shape(p, types, what="a person") and self.person(request, p, "a person") for p in people):
            return 400, {"code": "BadParams", "msg": "", "params": None}
        self.unique(request, people)
        for person in people:
            for name in numbers:
                if not all(isinstance(n, int) and not isinstance(n, bool) for n in person.get(name, [])):
                    request.wrong(f"{name} is {person[name]!r}")
        good, failed = self.failures(request, people)
        for person in good:
            self.subscriptions.setdefault(self.name(person), {}).update({n: person[n] for n in numbers if n in person})
        bad = [person for person in people if person not in good]
        return 200, {"successCount": len(good), "failCount": len(bad), "invalidEmails": failed["invalidEmails"], "invalidUserIds": [],
                     "validEmailFailures": [p["email"] for p in bad if p["email"].lower() not in failed["invalidEmails"]],
                     "validUserIdFailures": []}

    # -- lists and catalogs ---------------------------------------------------------------------------------------

    def get_lists(self, _):
        return 200, {"lists": [{"id": row["id"], "name": row["name"], "createdAt": 0, "listType": "Standard"} for row in self.lists.values()]}

    def make_list(self, request):
        body = request.json()
        if body is None or not request.shape(body, {"name": str, "description": str}, ["name"]):
            return 400, {"code": "BadParams", "msg": "", "params": None}
        if any(row["name"] == body["name"] for row in self.lists.values()):
            request.wrong("a second list of that name")
        number = max(self.lists, default=100) + 1
        self.lists[number] = {"id": number, "name": body["name"], "members": []}
        return 200, {"listId": number}

    def list_call(self, request, more, person):
        body = request.json()
        if body is None or not request.shape(body, {"listId": int, "subscribers": list, **more}, ["listId", "subscribers"]):
            return None
        people = body["subscribers"]
        if not all(request.shape(p, person, what="a subscriber") and self.person(request, p, "a subscriber") for p in people):
            return None
        self.unique(request, people)
        if body["listId"] not in self.lists:
            request.wrong(f"no list {body['listId']}")
            return None
        return body, people, self.lists[body["listId"]]["members"]

    def subscribe(self, request):
        person = {**PERSON, "dataFields": dict, "preferUserId": bool, "mergeNestedObjects": bool}
        call = self.list_call(request, {"updateExistingUsersOnly": bool}, person)
        if call is None:
            return 400, {"code": "BadParams", "msg": "", "params": None}
        _, people, members = call
        refused = self.mismatches(people)
        if refused:
            return refused
        good, failed = self.failures(request, people)
        for person in good:
            self.write_user(person)
            if self.name(person) not in members:
                members.append(self.name(person))
        return self.counts(people, good, {**failed, "notFoundEmails": [], "notFoundUserIds": []})

    def unsubscribe(self, request):
        call = self.list_call(request, {"campaignId": int, "channelUnsubscribe": bool}, PERSON)
        if call is None:
            return 400, {"code": "BadParams", "msg": "", "params": None}
        body, people, members = call
        if body.get("channelUnsubscribe"):
            request.wrong("a global unsubscribe")
        good, failed = self.failures(request, people)
        absent = [person for person in good if self.name(person) not in members]
        good = [person for person in good if person not in absent]
        for person in good:
            members.remove(self.name(person))
        failed["notFoundEmails"] = [p["email"].lower() for p in absent if "email" in p]
        failed["notFoundUserIds"] = [p["userId"] for p in absent if "userId" in p]
        return self.counts(people, good, failed)

    def catalog(self, request):
        body, parts = request.json(), request.path.split("/")
        types = {"documents": dict, "replaceUploadedFieldsOnly": bool}
        if body is None or len(parts) != 5 or parts[4] != "items" or not request.shape(body, types, types):
            return 400, {"code": "BadParams", "msg": "", "params": None}
        if len(body["documents"]) > LIMIT_RECORDS:
            request.wrong("too many documents")
        items = self.catalogs.setdefault(parts[3], {})
        for name, item in body["documents"].items():
            items[name] = {**items.get(name, {}), **item} if body["replaceUploadedFieldsOnly"] else item
        return 202, {"code": "Success", "msg": "", "params": None}
