"""Marketo's REST API as its documents describe it."""

import copy
import re

LIMIT_BYTES, LIMIT_RECORDS = 1024 * 1024, 300
WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
ACTIONS = ("createOnly", "updateOnly", "createOrUpdate", "createDuplicate")
CHECKS = {
    "string": lambda v: isinstance(v, str), "email": lambda v: isinstance(v, str) and v.isascii() and "@" in v,
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool), "boolean": lambda v: isinstance(v, bool),
    "float": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "datetime": lambda v: isinstance(v, str) and bool(WHEN.fullmatch(v)),
    "date": lambda v: isinstance(v, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\d", v)),
}


def skipped(code, message, key="reasons"):
    return {"status": "skipped", key: [{"code": str(code), "message": message}]}


class Marketo:
    def __init__(self, config, rate):
        self.client = (config.get("client_id", "me"), config.get("client_secret", "secret"))
        self.fields = {"email": "email", "id": "integer", **config.get("fields", {})}
        self.leads, self.last = {}, 1000
        for lead in config.get("leads", []):
            self.create(copy.deepcopy(lead))
        self.types = {row["id"]: row for row in config.get("activity_types", [])}
        self.lists = {number: [] for number in config.get("lists", [])}
        self.programs = {row["id"]: dict(row, members={}) for row in config.get("programs", [])}
        self.objects = {name: {**row, "rows": {}} for name, row in config.get("objects", {}).items()}
        self.activities = []
        self.token, self.tokens, self.expired = None, 0, set()
        self.calls, self.used = rate(100, 20), 0
        self.flying, self.keys = 0, {}

    def dump(self):
        return {
            "leads": list(self.leads.values()), "activities": self.activities, "lists": self.lists, "used": self.used,
            "programs": {number: row["members"] for number, row in self.programs.items()}, "tokens": self.tokens,
            "objects": {name: list(row["rows"].values()) for name, row in self.objects.items()},
        }

    # -- the envelope ---------------------------------------------------------------------------------------------

    @staticmethod
    def good(result=(), **more):
        return 200, {"requestId": "a1#b2", "success": True, "result": list(result), **more}

    @staticmethod
    def bad(code, message=""):
        return 200, {"requestId": "a1#b2", "success": False, "errors": [{"code": str(code), "message": message}]}

    def refused(self, kind):
        if kind == "429":
            return self.bad(606, "Max rate limit '100' exceeded with in '20' secs")
        if kind == "expired":
            self.expired.add(self.token)
            self.token = None
            return self.bad(602, "Access token expired")
        if kind.isdigit():
            return self.bad(kind, "as told")
        return None

    def begin(self, request):
        self.flying += 1
        if self.flying > 10:
            request.wrong("more than ten requests at a time")
        if len(request.target.encode()) > 8192:
            request.wrong("an address of more than 8 kB")
            return 414, "too long"
        if request.path == "/identity/oauth/token":
            return self.identity(request)
        if self.calls.over():
            request.wrong("more than 100 calls in 20 s")
            return self.refused("429")
        self.used += 1
        if "access_token" in request.query:
            request.wrong("the token is in the query")
        kind, _, token = (request.headers.get("Authorization") or "").partition(" ")
        if kind != "Bearer" or not token:
            request.wrong("no bearer token")
            return self.bad(600, "Access token not specified")
        if token in self.expired:
            return self.bad(602, "Access token expired")
        if token != self.token:
            request.wrong("an unknown token")
            return self.bad(601, "Access token invalid")
        if len(request.body) > LIMIT_BYTES:
            request.wrong(f"{len(request.body)} bytes")
            return 413, "too large"
        # Two upserts of one lead side by side make two leads.
        if request.method == "POST" and request.path == "/rest/v1/leads.json":
            body = request.json() or {}
            keys = [str(row.get(body.get("lookupField") or "email", "")).lower() for row in body.get("input") or [] if isinstance(row, dict)]
            for key in keys:
                if key in self.keys.values():
                    request.wrong(f"the lead {key} is in another request at the same time")
            self.keys.update({(id(request), at): key for at, key in enumerate(keys)})
        return None

    def end(self, request):
        self.flying -= 1
        for name in [name for name in self.keys if name[0] == id(request)]:
            del self.keys[name]

    def identity(self, request):
        request.only_query("grant_type", "client_id", "client_secret")
        if request.method not in ("GET", "POST"):
            request.wrong("neither GET nor POST")
        if request.query.get("grant_type") != "client_credentials":
            request.wrong(f"grant_type {request.query.get('grant_type')!r}")
        if (request.query.get("client_id"), request.query.get("client_secret")) != self.client:
            return 401, {"error": "unauthorized", "error_description": "Bad client credentials"}
        if self.token is None:
            self.tokens += 1
            self.token = f"token-{self.tokens}:sj"
        return 200, {"access_token": self.token, "token_type": "bearer", "expires_in": 3599, "scope": "api@example.com"}

    def answer(self, request):
        path = request.path.removeprefix("/rest/v1").removesuffix(".json").split("/")[1:]
        if not request.path.startswith("/rest/v1/") or not request.path.endswith(".json"):
            path = []
        match (request.method, *path):
            case ("GET", "leads"):
                return self.find(request)
            case ("POST", "leads"):
                return self.sync(request)
            case ("POST", "leads", "delete"):
                return self.delete(request)
            case ("GET", "leads", "describe2"):
                fields = [{"name": n, "displayName": n, "dataType": k, "updateable": n != "id"} for n, k in self.fields.items()]
                return self.good([{"name": "API Lead", "searchableFields": [["email"], ["id"]], "fields": fields}])
            case ("GET", "activities", "external", "types"):
                return self.good([{"id": row["id"], "apiName": row["apiName"], "name": row["apiName"], "status": "approved"} for row in self.types.values()])
            case ("GET", "activities", "external", "type", name, "describe"):
                for row in self.types.values():
                    if row["apiName"] == name:
                        attributes = [{"apiName": n, "name": n, "dataType": k} for n, k in row["attributes"].items()]
                        return self.good([{"id": row["id"], "apiName": name, "name": name, "attributes": attributes}])
                return self.bad(1013, "Object not found")
            case ("POST", "activities", "external"):
                return self.add_activities(request)
            case ("POST" | "DELETE" as method, "lists", number, "leads"):
                return self.membership(request, method, int(number))
            case ("POST", "programs", number, "members", "status"):
                return self.status(request, int(number))
            case ("POST", "programs", number, "members"):
                return self.member_fields(request, int(number))
            case ("POST", "programs", number, "members", "delete"):
                return self.leave(request, int(number))
            case ("GET", "programs", "members", "describe"):
                names = {name for program in self.programs.values() for name in program["fields"]}
                fields = [{"name": n, "displayName": n, "dataType": k, "updateable": False}
                          for n, k in (("leadId", "integer"), ("programId", "integer"), ("statusName", "string"))]
                fields += [{"name": n, "displayName": n, "dataType": "string", "updateable": True} for n in sorted(names)]
                return self.good([{"name": "API Program Membership", "dedupeFields": ["leadId", "programId"], "fields": fields}])
            case ("GET", "customobjects", name, "describe") if name in self.objects:
                fields = [{"name": field, "displayName": field, "dataType": "string", "updateable": True}
                          for field in self.objects[name]["names"]]
                return self.good([{"name": name, "dedupeFields": self.objects[name]["dedupe"], "fields": fields}])
            case ("POST", "customobjects", name):
                return self.custom(request, name)
            case ("GET", "stats", "usage"):
                return self.good([{"date": "2026-11-22", "total": self.used, "users": []}])
        request.wrong("no such endpoint")
        return self.bad(610, "Requested resource not found")

    def rows(self, request, types, required=(), most=LIMIT_RECORDS):
        """The body of a write: `input` and these; None when it is wrong."""
        body = request.json()
        if body is None or not request.shape(body, {"input": list, **types}, ["input", *required]):
            return None
        if not 0 < len(body["input"]) <= most or not all(isinstance(row, dict) for row in body["input"]):
            request.wrong(f"{len(body['input'])} records, or no records")
            return None
        return body

    # -- leads ----------------------------------------------------------------------------------------------------

    def create(self, lead):
        self.last += 1
        self.leads[self.last] = {"id": self.last, **lead}
        return self.last

    def matching(self, field, value):
        value = str(value).lower()
        return [number for number, lead in self.leads.items() if str(lead.get(field, "")).lower() == value]

    def find(self, request):
        request.only_query("filterType", "filterValues", "fields", "batchSize", "nextPageToken")
        field, values = request.query.get("filterType"), request.query.get("filterValues", "").split(",")
        if field not in ("email", "id"):
            request.wrong(f"filterType {field!r}")
            return self.bad(1003, "Invalid filterType")
        if len(values) > 300 or not 1 <= int(request.query.get("batchSize", 300)) <= 300:
            request.wrong(f"{len(values)} values")
        fields = [name for name in request.query.get("fields", "id,email,firstName,lastName").split(",") if name]
        for name in fields:
            if name not in self.fields:
                request.wrong(f"the unknown field {name}")
        found = [number for value in values for number in self.matching(field, value)]
        # Fewer than asked for: more than one page is seen often.
        start = int(request.query.get("nextPageToken") or 0)
        page = found[start : start + 50]
        more = {"nextPageToken": str(start + 50), "moreResult": True} if start + 50 < len(found) else {"moreResult": False}
        return self.good([{name: self.leads[number].get(name) for name in fields} for number in page], **more)

    def sync(self, request):
        types = {"action": str, "lookupField": str, "partitionName": str, "asyncProcessing": bool}
        body = self.rows(request, types)
        if body is None:
            return self.bad(609, "Invalid JSON")
        request.only_query()
        action, field = body.get("action", "createOrUpdate"), body.get("lookupField", "email")
        if action not in ACTIONS or field not in self.fields:
            request.wrong(f"action {action!r}, lookupField {field!r}")
            return self.bad(1003, "Invalid value")
        if field == "id" and action != "updateOnly":
            request.wrong("`id` goes only with updateOnly")
        if "partitionName" in body and action not in ("createOnly", "createOrUpdate"):
            request.wrong("partitionName goes only with creating actions")
        keys = [str(row.get(field)).lower() for row in body["input"]]
        if len(set(keys)) != len(keys):
            request.wrong("a lead is twice in one request")
        return self.good([self.sync_one(request, action, field, row) for row in body["input"]])

    def sync_one(self, request, action, field, row):
        if row.get(field) is None:
            request.wrong(f"a record without {field}")
            return skipped(1002, "Missing value for required parameter")
        for name, value in row.items():
            if name not in self.fields:
                return skipped(1006, f"Field '{name}' not found")
            if value is not None and not CHECKS[self.fields[name]](value):
                return skipped(1003, f"Invalid value for '{name}'")
        if request.partial and request.partial in str(row[field]):
            return skipped(1003, "as told")
        known = self.matching(field, row[field])
        if len(known) > 1:
            return skipped(1007, "Multiple lead match lookup criteria")
        if known and action == "createOnly":
            return skipped(1005, "Lead already exists")
        if not known and action == "updateOnly":
            return skipped(1004, "Lead not found")
        if known:
            self.leads[known[0]].update({k: v for k, v in row.items() if k != "id"})
            return {"id": known[0], "status": "updated"}
        return {"id": self.create(dict(row)), "status": "created"}

    def delete(self, request):
        body = self.rows(request, {})
        if body is None:
            return self.bad(609)
        result = []
        for row in body["input"]:
            request.shape(row, {"id": int}, ["id"], "a lead")
            known = self.leads.pop(row.get("id"), None)
            result.append({"id": row["id"], "status": "deleted"} if known else skipped(1004, "Lead not found"))
        return self.good(result)

    # -- what hangs on a lead -------------------------------------------------------------------------------------

    def add_activities(self, request):
        body = self.rows(request, {})
        if body is None:
            return self.bad(609)
        result = []
        shape = {"leadId": int, "activityDate": str, "activityTypeId": int, "primaryAttributeValue": str, "attributes": list}
        for row in body["input"]:
            if not request.shape(row, shape, ["leadId", "activityDate", "activityTypeId", "primaryAttributeValue"], "an activity"):
                result.append(skipped(1003, "Invalid", "errors"))
                continue
            kind = self.types.get(row["activityTypeId"])
            if not WHEN.fullmatch(row["activityDate"]) or kind is None:
                request.wrong(f"activity {row!r}")
            values = {}
            for attribute in row.get("attributes", []):
                name = attribute.get("apiName", attribute.get("name"))
                if set(attribute) not in ({"apiName", "value"}, {"name", "value"}) or name not in kind["attributes"]:
                    request.wrong(f"attribute {attribute!r}")
                elif attribute["value"] is not None and not CHECKS[kind["attributes"][name]](attribute["value"]):
                    request.wrong(f"attribute {attribute!r}")
                values[name] = attribute["value"]
            lead = self.leads.get(row["leadId"])
            if lead is None:
                result.append(skipped(1004, "Lead not found", "errors"))
            elif request.partial and request.partial in lead.get("email", ""):
                result.append(skipped(1003, "as told", "errors"))
            else:
                number = len(self.activities) + 1
                self.activities.append({"id": number, "email": lead.get("email"), "values": values, **{k: v for k, v in row.items() if k != "attributes"}})
                result.append({"id": number, "status": "added"})
        return self.good(result)

    def people(self, request, key, types=None):
        """The records of a call about leads, each with its lead's number if there is one."""
        body = self.rows(request, {"statusName": str} if key == "leadId" and types is None else {})
        if body is None:
            return None, []
        for row in body["input"]:
            request.shape(row, {key: int, **(types or {})}, [key], "a record")
        numbers = [row.get(key) for row in body["input"]]
        if len(set(numbers)) != len(numbers):
            request.wrong("a lead is twice in one request")
        return body, numbers

    def membership(self, request, method, number):
        members = self.lists.get(number)
        if members is None:
            request.wrong(f"no list {number}")
            return self.bad(1013, "List not found")
        body, leads = self.people(request, "id", {})
        if body is None:
            return self.bad(609)
        result = []
        for lead in leads:
            if lead not in self.leads:
                result.append({"id": lead, **skipped(1004, "Lead not found")})
            elif request.partial and method == "POST" and request.partial in self.leads[lead].get("email", ""):
                result.append({"id": lead, **skipped(1003, "as told")})
            elif method == "POST":
                if lead not in members:
                    members.append(lead)
                result.append({"id": lead, "status": "added"})
            elif lead in members:
                members.remove(lead)
                result.append({"id": lead, "status": "removed"})
            else:
                result.append({"id": lead, **skipped(1015, "Lead not in list")})
        return self.good(result)

    def program(self, request, number):
        row = self.programs.get(number)
        if row is None:
            request.wrong(f"no program {number}")
        return row

    def status(self, request, number):
        body, leads = self.people(request, "leadId")
        program = self.program(request, number)
        if body is None or program is None:
            return self.bad(1013)
        if body.get("statusName") not in program["statuses"]:
            request.wrong(f"statusName {body.get('statusName')!r}")
            return self.bad(1003)
        result = []
        for seq, lead in enumerate(leads):
            known = program["members"].get(str(lead))
            if lead not in self.leads:
                result.append({"seq": seq, **skipped(1004, "Lead not found")})
                continue
            program["members"].setdefault(str(lead), {})["statusName"] = body["statusName"]
            result.append({"seq": seq, "leadId": lead, "status": "updated" if known else "created"})
        return self.good(result)

    def member_fields(self, request, number):
        program = self.program(request, number)
        if program is None:
            return self.bad(1013)
        types = {name: (str, type(None)) for name in program.get("fields", [])}
        body, leads = self.people(request, "leadId", types)
        if body is None:
            return self.bad(609)
        result = []
        for seq, (lead, row) in enumerate(zip(leads, body["input"])):
            member = program["members"].get(str(lead))
            if member is None:
                result.append({"seq": seq, **skipped(1013, "Object not found")})
                continue
            member.update({name: value for name, value in row.items() if name != "leadId"})
            result.append({"seq": seq, "leadId": lead, "status": "updated"})
        return self.good(result)

    def leave(self, request, number):
        program = self.program(request, number)
        body, leads = self.people(request, "leadId", {})
        if body is None or program is None:
            return self.bad(609)
        gone = [program["members"].pop(str(lead), None) for lead in leads]
        return self.good([{"seq": seq, "leadId": lead, "status": "deleted"} if was is not None else {"seq": seq, **skipped(1013, "Object not found")}
                          for seq, (lead, was) in enumerate(zip(leads, gone))])

    def custom(self, request, name):
        object_ = self.objects.get(name)
        body = self.rows(request, {"action": str, "dedupeBy": str}, ["action"])
        if body is None or object_ is None or body["action"] not in ACTIONS[:3] or body.get("dedupeBy", "dedupeFields") != "dedupeFields":
            request.wrong("no such object, or not this way")
            return self.bad(1003)
        result = []
        for seq, row in enumerate(body["input"]):
            key = str([row.get(field) for field in object_["dedupe"]])
            if any(field not in object_["names"] for field in row) or "None" in key:
                request.wrong(f"custom object {row!r}")
            known = object_["rows"].get(key)
            if known is None and body["action"] == "updateOnly":
                result.append({"seq": seq, **skipped(1013, "Object not found")})
                continue
            object_["rows"][key] = {**(known or {}), **row}
            result.append({"seq": seq, "marketoGUID": key, "status": "updated" if known else "created"})
        return self.good(result)
