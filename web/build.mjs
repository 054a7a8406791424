// Puts what the browser needs into src/faregate/apps/web/static: each file under a name that bears its content's hash,
// so that it can be cached for good, with a gzip copy beside it; manifest.json says which name is whose.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { gzipSync } from "node:zlib";

const from = import.meta.dirname;
const to = join(from, "../src/faregate/apps/web/static");
const sources = [
    "node_modules/@tabler/core/dist/css/tabler.min.css",
    "node_modules/htmx.org/dist/htmx.min.js",
    "faregate.css",
    "faregate.js",
    "icon.svg",
];

rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
const manifest = {};
for (const source of sources) {
    const text = readFileSync(join(from, source), "utf8").replace(/\n?\/[/*]# sourceMappingURL=.*$/m, "");
    const suffix = extname(source);
    const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
    const name = `${basename(source, suffix)}-${hash}${suffix}`;
    writeFileSync(join(to, name), text);
    writeFileSync(join(to, `${name}.gz`), gzipSync(text, { level: 9 }));
    manifest[basename(source)] = name;
}
writeFileSync(join(to, "manifest.json"), JSON.stringify(manifest, null, 4));
