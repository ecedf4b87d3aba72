// Builds src/ into web/static/widget.js; with --check, proves the committed file is that build.
import { build, transform } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { minify } from "terser";

const MAX_GZIPPED_BYTES = 40_000;
const target = new URL("../web/static/widget.js", import.meta.url);
const browsers = ["chrome111", "firefox113", "safari16.4"];

const minifiedStyles = {
  name: "minified-styles",
  setup(esbuild) {
    esbuild.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), {
        loader: "css",
        minify: true,
        target: browsers,
      });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

// What the licences of the bundled libraries ask to be kept with every copy.
const dependencies = {
  marked: "(c) 2018+ MarkedJS, (c) 2011-2018 Christopher Jeffrey, MIT",
  dompurify: "(c) Cure53 and other contributors, Apache-2.0 or MPL-2.0",
};

async function notice([name, terms]) {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  const { version } = JSON.parse(await readFile(file, "utf8"));
  return `${name} ${version} ${terms}`;
}

async function bundle() {
  const { outputFiles } = await build({
    absWorkingDir: new URL(".", import.meta.url).pathname,
    entryPoints: ["src/main.ts"],
    bundle: true,
    format: "iife",
    legalComments: "none",
    minify: true,
    plugins: [minifiedStyles],
    target: browsers,
    write: false,
  });
  const notices = await Promise.all(Object.entries(dependencies).map(notice));
  const { code } = await minify(outputFiles[0].text, {
    compress: { ecma: 2020, passes: 3 },
    ecma: 2020,
    format: { ascii_only: true, comments: false, preamble: `/*! ${notices.join("; ")} */` },
    module: true,
  });
  return Buffer.from(`${code}\n`);
}

function refuse(sentence) {
  console.error(sentence);
  process.exit(1);
}

const fresh = await bundle();
const size = gzipSync(fresh, { level: 9 }).length;
if (size > MAX_GZIPPED_BYTES) {
  refuse(`widget.js is ${size} bytes gzipped; ${MAX_GZIPPED_BYTES} are allowed.`);
}
if (process.argv.includes("--check")) {
  const committed = await readFile(target).catch(() => Buffer.alloc(0));
  if (!committed.equals(fresh)) {
    refuse("web/static/widget.js differs from its source: run `npm run build` and commit it.");
  }
} else {
  await writeFile(target, fresh);
}
console.log(`widget.js: ${fresh.length} bytes, ${size} gzipped (at most ${MAX_GZIPPED_BYTES})`);
