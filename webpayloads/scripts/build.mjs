// Builds the page, and a worker for each version of each runtime, so that two versions can be compared side by side.
// Each worker is a build of its own: the same adapter, with its library resolved to that version's package.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build, defaultClientConditions } from 'vite';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(here, 'node_modules');
const dist = join(here, 'dist');
const runtimes = JSON.parse(readFileSync(join(here, 'runtimes.json'), 'utf8'));

rmSync(dist, { recursive: true, force: true });
await build({ configFile: join(here, 'vite.config.ts'), root: here, logLevel: 'warn' });
report('page', join(dist, 'assets'));

for (const [runtime, { adapter, assets, versions }] of Object.entries(runtimes)) {
  // The adapters name the newest version's package; an older one stands in for it.
  const [imported] = Object.values(versions);
  for (const [version, packaged] of Object.entries(versions)) {
    const folder = join(dist, 'assets', `${runtime}-${version}`);
    await build({
      configFile: false,
      root: here,
      base: './',
      logLevel: 'warn',
      publicDir: false,
      // What Vite does for workers: the runtimes' files lie beside the script.
      define: { 'import.meta.url': 'self.location.href' },
      // ONNX Runtime's WASM loader stays a file of its own: its threads start from that file.
      resolve: {
        conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions],
        alias: packaged === imported || imported === null ? [] : [{ find: imported, replacement: packaged }],
      },
      build: {
        target: 'es2022',
        assetsInlineLimit: 0,
        emptyOutDir: false,
        chunkSizeWarningLimit: 2_000,
        outDir: folder,
        // A classic script: two of the runtimes load their WASM glue with importScripts.
        lib: { entry: join(here, 'src', 'worker', `${adapter}.ts`), formats: ['iife'], name: 'worker', fileName: () => 'worker.js' },
        minify: true,
      },
    });
    if (assets !== undefined) {
      const source = directory(packaged, assets.from);
      const pattern = new RegExp(assets.match);
      for (const name of readdirSync(source).filter((name) => pattern.test(name))) {
        copyFileSync(join(source, name), join(folder, name));
      }
    }
    report(`${runtime} ${version}`, folder);
  }
}

/** Where a package's files lie: beside it, or below it where two versions of it are installed. */
function directory(packaged, from) {
  const candidates = [join(modules, packaged, 'node_modules', from), join(modules, from)];
  // An aliased package's own files lie below the alias.
  if (from.startsWith(packaged)) candidates.unshift(join(modules, from));
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${packaged} has no ${from}`);
  return found;
}

/** What a runtime costs the visitor of a page, file by file. */
function report(title, folder) {
  mkdirSync(folder, { recursive: true });
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  const sizes = files.map(({ name }) => ({ name, bytes: statSync(join(folder, name)).size }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`\n${title}: ${megabytes(total)}`);
  for (const { name, bytes } of sizes) console.log(`  ${megabytes(bytes).padStart(9)}  ${name}`);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}
