"""A loopback server that checks every request of the official Stripe SDK against a contract.

    python sdk2spec.py                       # once, from the installed `stripe` package
    python stripe_validator.py --port 12111  # or --spec path/to/spec3.json (the official file)

It is stateless: it checks path, method, headers and parameters the way Stripe's front
door does (unknown parameter, missing parameter, wrong type, value outside the enum, an
emptied parameter that cannot be emptied, reused Idempotency-Key, bad Stripe-Version), then
answers with the smallest object of the right shape, echoing what was sent.
Standard library only.  Private development tool.
"""
import argparse, base64, contextlib, json, os, re, sys, threading, time, urllib.parse, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.contract.checker import rules

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = {"customer": "cus_", "product": "prod_", "price": "price_", "billing.meter": "mtr_", "subscription": "sub_",
          "subscription_item": "si_", "subscription_schedule": "sub_sched_", "invoice": "in_", "invoiceitem": "ii_",
          "line_item": "il_", "billing.credit_grant": "credgr_", "billing.credit_balance_transaction": "cbtxn_",
          "checkout.session": "cs_test_", "billing_portal.session": "bps_", "test_helpers.test_clock": "clock_",
          "event": "evt_", "webhook_endpoint": "we_", "payment_method": "pm_", "payment_intent": "pi_",
          "setup_intent": "seti_", "charge": "ch_", "billing.alert": "alrt_", "coupon": "", "refund": "re_",
          "customer_balance_transaction": "cbtxn_", "billing.meter_event_adjustment": "mtradj_",
          "v2.billing.meter_event_session": "mes_", "v2.core.event_destination": "ed_test_"}


class Bad(Exception):
    def __init__(self, message, param=None, code=None, type="invalid_request_error", status=400):
        super().__init__(message)
        self.status = status
        self.body = {"type": type, "message": message}
        if code:
            self.body["code"] = code
            self.body["doc_url"] = "https://stripe.com/docs/error-codes/" + code.replace("_", "-")
        if param:
            self.body["param"] = param


# ---- form decoding: a[b][]=1, a[0][c]=2 --------------------------------------
def tree(pairs):
    root = {}
    for key, value in pairs:
        m = re.match(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$", key)
        if not m:
            raise Bad(f"Received unknown parameter: {key}", key, "parameter_unknown")
        parts = [m.group(1)] + re.findall(r"\[([^\[\]]*)\]", m.group(2))
        cur = root
        for i, p in enumerate(parts):
            last = i == len(parts) - 1
            if p == "":
                p = str(sum(1 for k in cur if k.isdigit()))
            if last:
                cur[p] = value
            else:
                nxt = cur.setdefault(p, {})
                if not isinstance(nxt, dict):
                    raise Bad(f"Invalid parameter: {key}", key)
                cur = nxt
    return root


class Contract:
    def __init__(self, path):
        with open(path) as f:
            self.doc = json.load(f)
        self.version = self.doc["info"]["version"]
        self.routes = []
        for p, ops in self.doc["paths"].items():
            rx = re.compile("^" + re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", p) + "$")
            self.routes.append((p.count("{"), p, rx, {m: o for m, o in ops.items() if m in ("get", "post", "delete", "put", "patch")}))
        self.routes.sort(key=lambda r: r[0])

    def resolve(self, s):
        while s and "$ref" in s:
            cur = self.doc
            for part in s["$ref"].lstrip("#/").split("/"):
                cur = cur[part.replace("~1", "/")]
            s = cur
        return s or {}

    def find(self, method, path):
        seen = False
        for _, p, rx, ops in self.routes:
            m = rx.match(path)
            if m:
                seen = True
                if method in ops:
                    return p, ops[method], {k: urllib.parse.unquote(v) for k, v in m.groupdict().items()}
        raise Bad(f"Unrecognized request URL ({method.upper()}: {path}). Please see https://stripe.com/docs or we can help at "
                  "https://support.stripe.com/.", status=404 if not seen else 405)

    # -- request -----------------------------------------------------------------
    def params_schema(self, op, where):
        if where == "query":
            props = {p["name"]: p["schema"] for p in op.get("parameters", []) if p["in"] == "query"}
            req = [p["name"] for p in op.get("parameters", []) if p["in"] == "query" and p.get("required")]
            return {"type": "object", "properties": props, "required": req, "additionalProperties": False}
        content = op.get("requestBody", {}).get("content", {})
        for ct in ("application/x-www-form-urlencoded", "multipart/form-data", "application/json"):
            if ct in content:
                return content[ct]["schema"]
        return {"type": "object", "properties": {}, "additionalProperties": False}

    def check(self, schema, node, name, typed=False):
        """Return the decoded value, or raise Bad.  `typed`: JSON (v2) rather than form values."""
        s = self.resolve(schema)
        if "anyOf" in s or "oneOf" in s:
            errors, opts = [], s.get("anyOf") or s["oneOf"]
            for o in opts:
                try:
                    return self.check(o, node, name, typed)
                except Bad as e:
                    t = self.resolve(o).get("type")
                    fits = (isinstance(node, (dict, list)) and t in ("object", "array")) or (not isinstance(node, (dict, list)) and t not in ("object", "array"))
                    errors.append((not fits, self.resolve(o).get("enum") == [""], len(errors), e))
            raise sorted(errors, key=lambda e: e[:3])[0][3]
        if typed and node is None:
            return None
        t = s.get("type")
        if t is None and "properties" not in s:
            return node
        if t == "object" or "properties" in s:
            if not isinstance(node, dict):
                if node == "":
                    if "additionalProperties" in s and not s.get("properties"):
                        return ""           # metadata="" unsets all keys
                    raise self.empty(name)
                raise Bad("Invalid object", name)
            props, extra, out = s.get("properties", {}), s.get("additionalProperties"), {}
            for k, v in node.items():
                sub = f"{name}[{k}]" if name else k
                if k in props:
                    out[k] = self.check(props[k], v, sub, typed)
                elif isinstance(extra, dict):
                    out[k] = self.check(extra, v, sub, typed)
                elif extra is True:
                    out[k] = v
                else:                       # the official spec closes only the top level; Stripe closes them all
                    raise Bad(f"Received unknown parameter: {sub}", sub, "parameter_unknown")
            for k in s.get("required", []):
                if k not in node:
                    sub = f"{name}[{k}]" if name else k
                    raise Bad(f"Missing required param: {sub}.", sub, "parameter_missing")
            return out
        if t == "array":
            if isinstance(node, dict) and all(k.isdigit() for k in node):
                node = [node[k] for k in sorted(node, key=int)]
            if not isinstance(node, list):
                raise self.empty(name) if node == "" else Bad("Invalid array", name)
            return [self.check(s.get("items", {}), v, f"{name}[{i}]", typed) for i, v in enumerate(node)]
        if isinstance(node, (dict, list)):
            raise Bad(f"Invalid {'string' if t == 'string' else t}: {json.dumps(node)[:80]}", name)
        if typed:
            ok = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}[t]
            if not isinstance(node, ok) or (t == "integer" and isinstance(node, bool)):
                raise Bad(f"Invalid {t}: {node!r}", name)
        elif t == "integer":
            if not re.match(r"^-?\d+$", str(node)):
                raise self.empty(name) if node == "" else Bad(f"Invalid integer: {node}", name, "parameter_invalid_integer")
            node = int(node)
        elif t == "number":
            try:
                node = float(node)
            except ValueError:
                raise Bad(f"Invalid decimal: {node}", name) from None
        elif t == "boolean":
            if str(node).lower() not in ("true", "false"):
                raise Bad(f"Invalid boolean: {node}", name)
            node = str(node).lower() == "true"
        if s.get("format") == "decimal" and not re.match(r"^-?\d+(\.\d{1,12})?$", str(node)):
            raise Bad(f"Invalid decimal: {node}; must contain at maximum twelve decimal places.", name)
        if "enum" in s and node not in s["enum"] and not (typed and s.get("x-stripeBypassValidation")):
            vals = [str(v) for v in s["enum"] if v != ""]
            if node == "":
                raise self.empty(name)
            if not vals:
                raise Bad(f"Invalid {name}", name)
            listed = vals[0] if len(vals) == 1 else ", ".join(vals[:-1]) + (", or " if len(vals) > 2 else " or ") + vals[-1]
            raise Bad(f"Invalid {name}: must be one of {listed}", name)
        if "maxLength" in s and len(str(node)) > s["maxLength"]:
            raise Bad(f"Invalid string: {str(node)[:20]}...; must be at most {s['maxLength']} characters", name)
        return node

    @staticmethod
    def empty(name):
        return Bad(f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however "
                   f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.", name, "parameter_invalid_empty")

    # -- response ----------------------------------------------------------------
    def sample(self, schema, echo=None, ids=None, depth=0, name=""):
        s = self.resolve(schema)
        echo = echo if isinstance(echo, dict) else {}
        if "anyOf" in s or "oneOf" in s:
            return self.sample((s.get("anyOf") or s["oneOf"])[0], echo, ids, depth, name)
        t = s.get("type")
        if t == "object" or "properties" in s:
            props, out = s.get("properties", {}), {}
            kind = s.get("x-resourceId") or (props.get("object", {}).get("enum") or [None])[0]
            req = s.get("required", list(props))
            for k, ps in props.items():
                r = self.resolve(ps)
                if k == "object" and kind:
                    out[k] = kind
                elif k == "id":
                    out[k] = (ids or {}).get("_last") or PREFIX.get(kind, (kind or "obj") + "_") + uuid.uuid4().hex[:24]
                elif k == "created" and r.get("type") == "integer":
                    out[k] = int(time.time())
                elif k == "livemode":
                    out[k] = False
                elif k in echo and not isinstance(echo[k], (dict, list)) and self.fits(ps, echo[k]):
                    out[k] = echo[k]
                elif k in echo and isinstance(echo[k], dict) and r.get("additionalProperties"):
                    out[k] = echo[k]
                elif k in echo and isinstance(echo[k], dict) and depth < 4:
                    out[k] = self.sample(ps, echo[k], None, depth + 1, k)
                elif r.get("nullable") or k not in req or ps.get("nullable"):
                    out[k] = None if (r.get("nullable") or ps.get("nullable")) else out.pop(k, None)
                    if out[k] is None and not (r.get("nullable") or ps.get("nullable")):
                        del out[k]
                elif depth < 4:
                    out[k] = self.sample(ps, None, None, depth + 1, k)
            return out
        if t == "array":
            return []
        if "enum" in s:
            return s["enum"][0]
        if t == "string":
            return "0" if s.get("format") == "decimal" else ("2026-01-01T00:00:00.000Z" if s.get("format") == "date-time" else "x")
        return {"integer": 0, "number": 0.0, "boolean": False}.get(t)

    def fits(self, schema, v):
        s = self.resolve(schema)
        for o in s.get("anyOf") or s.get("oneOf") or [s]:
            t = self.resolve(o).get("type")
            if (t == "string" and isinstance(v, str)) or (t == "integer" and isinstance(v, int) and not isinstance(v, bool)) \
                    or (t == "boolean" and isinstance(v, bool)) or (t == "number" and isinstance(v, (int, float))):
                return True
        return False


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, addr, contract, record=None, use_rules=True):
        super().__init__(addr, Handler)
        self.contract, self.record, self.use_rules = contract, record, use_rules
        self.log, self.lock, self.keys, self.seen = [], threading.Lock(), {}, {}

    def note(self, entry):
        with self.lock:
            self.log.append(entry)
            if self.record:
                with open(self.record, "a") as f:
                    f.write(json.dumps(entry) + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do(self):
        c, srv = self.server.contract, self.server
        url = urllib.parse.urlsplit(self.path)
        method, path = self.command.lower(), url.path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        rid, extra = "req_" + uuid.uuid4().hex[:14], {}
        entry = {"method": method.upper(), "path": path, "version": self.headers.get("Stripe-Version"),
                 "idempotency_key": self.headers.get("Idempotency-Key")}
        try:
            auth = self.headers.get("Authorization", "")
            key = auth[7:] if auth.startswith("Bearer ") else (base64.b64decode(auth[6:]).decode().split(":")[0] if auth.startswith("Basic ") else "")
            if not key:
                raise Bad("You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
                          "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY').", status=401)
            ver = self.headers.get("Stripe-Version")
            if ver and not re.match(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?(; .*)?$", ver):
                raise Bad(f"Invalid Stripe API version: {ver}")
            tpl, op, ids = c.find(method, path)
            where = "query" if method in ("get", "delete") else "body"
            v2 = path.startswith("/v2/")
            if v2 and where == "body":
                entry["params"] = raw = json.loads(body or "{}")
            else:
                qs = url.query if where == "query" else (body or url.query)
                entry["params"] = raw = tree(urllib.parse.parse_qsl(qs, keep_blank_values=True))
            schema = c.params_schema(op, where)
            if where == "body" and op.get("requestBody", {}).get("content", {}).get("multipart/form-data"):
                params = raw
            else:
                params = c.check(schema, raw, "", typed=v2 and where == "body")
            if srv.use_rules and rules:
                rules.check(method, tpl, params, Bad)
            ik = self.headers.get("Idempotency-Key")
            if ik and method == "post":
                sig = (path, json.dumps(raw, sort_keys=True))
                with srv.lock:
                    old = srv.keys.get(ik)
                if old and old[0] != sig:
                    raise Bad("Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a "
                              f"key other than '{ik}' if you meant to execute a different request.", type="idempotency_error")
                if old:
                    extra["Idempotent-Replayed"] = "true"
                    status, out = old[1], old[2]
                    entry["ok"] = True
                    return self.reply(status, out, rid, extra, entry)
            schema = next(iter(op["responses"].get("200", {}).get("content", {}).values()), {}).get("schema", {})
            rs = c.resolve(schema)
            kind = rs.get("x-resourceId") or (rs.get("properties", {}).get("object", {}).get("enum") or [""])[0]
            last = list(ids.values())[-1] if ids else None
            mine = last and (path.endswith(last) or (PREFIX.get(kind) and last.startswith(PREFIX[kind])))
            out = {} if not schema else c.sample(schema, params, {"_last": last} if mine else None)
            ident = params.get("identifier") if isinstance(params, dict) and path.endswith("/billing/meter_events") else None
            if ident:               # Stripe answers a repeated identifier with 400, it does not drop it silently
                with srv.lock:
                    if time.time() - srv.seen.get(ident, 0) < 86400:
                        raise Bad(f"An event already exists with identifier {ident}.", "identifier", "duplicate_meter_event")
                    srv.seen[ident] = time.time()
            if "x-list" in rs or set(rs.get("required", [])) >= {"data", "has_more", "url"}:
                out.update(url=path, data=[], has_more=False)
            if method == "delete" and out.get("id"):
                out = {"id": out["id"], "object": out.get("object"), "deleted": True}
            if ik and method == "post":
                with srv.lock:
                    srv.keys[ik] = (sig, 200, out)
            entry["ok"] = True
            self.reply(200, out, rid, extra, entry)
        except Bad as e:
            entry.update(ok=False, error=e.body)
            self.reply(e.status, {"error": dict(e.body, request_log_url="http://127.0.0.1/" + rid)}, rid, extra, entry)
        except Exception as e:  # a fault of this tool, never of the caller
            entry.update(ok=False, error={"type": "api_error", "message": repr(e)})
            self.reply(500, {"error": entry["error"]}, rid, extra, entry)

    do_GET = do_POST = do_DELETE = do

    def reply(self, status, out, rid, extra, entry):
        entry["status"] = status
        self.server.note(entry)
        data = json.dumps(out).encode()
        self.send_response(status)
        for k, v in {"Content-Type": "application/json", "Content-Length": str(len(data)), "Request-Id": rid,
                     "Stripe-Version": entry.get("version") or self.server.contract.version,
                     "Stripe-Should-Retry": "false", **extra}.items():
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def running(spec=os.path.join(HERE, "stripe.openapi.json"), record=None, use_rules=True):
    """with running() as (url, log): ...  -- for tests; binds a free port on 127.0.0.1."""
    srv = Server(("127.0.0.1", 0), Contract(spec), record, use_rules)
    threading.Thread(target=srv.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{srv.server_address[1]}", srv.log
    finally:
        srv.shutdown()
        srv.server_close()


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--port", type=int, default=12111)
    ap.add_argument("--spec", default=os.path.join(HERE, "stripe.openapi.json"))
    ap.add_argument("--record", help="append every request and its verdict to this JSONL file")
    ap.add_argument("--no-rules", action="store_true", help="schema only, no cross-field rules")
    a = ap.parse_args()
    srv = Server(("127.0.0.1", a.port), Contract(a.spec), a.record, not a.no_rules)
    print(f"Stripe contract {srv.contract.version} ({len(srv.contract.routes)} paths) on http://127.0.0.1:{a.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        srv.serve_forever()
