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

// What the licence of the bundled library asks to be kept with every copy.
async function notice() {
  const { version } = JSON.parse(await readFile(new URL("node_modules/marked/package.json", import.meta.url), "utf8"));
  return `marked ${version} (c) 2018+ MarkedJS, (c) 2011-2018 Christopher Jeffrey, MIT`;
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
  const { code } = await minify(outputFiles[0].text, {
    compress: { ecma: 2020, passes: 3 },
    ecma: 2020,
    format: { ascii_only: true, comments: false, preamble: `/*! ${await notice()} */` },
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
