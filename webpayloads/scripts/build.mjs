// Builds the page, and a worker for each version of each runtime, so that two versions can be compared side by side.
// Each worker is a build of its own: the same adapter, with its library resolved to that version's package.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

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
      plugins: [importMeta()],
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
        // A classic script: most runtimes load their WASM glue with importScripts.
        lib: { entry: join(here, 'src', 'worker', `${adapter}.ts`), formats: ['iife'], name: 'worker', fileName: () => 'worker.js' },
        minify: true,
      },
    });
    if (assets !== undefined) copyAssets(assets, imported, packaged, folder);
    report(`${runtime} ${version}`, folder);
  }
}

/** A classic script has no `import.meta`. What a library asks of it is where the script lies, and where its files do. */
function importMeta() {
  return {
    name: 'import-meta',
    transform(code) {
      return code.includes('import.meta') ? code.replaceAll(/\bimport\.meta\b/g, '({url:self.location.href})') : null;
    },
  };
}

/** Copies the files that the runtime's own loader asks for, all into one folder; texts may be changed on the way. */
function copyAssets({ from, match, replace = {} }, imported, packaged, folder) {
  const source = directory(imported, packaged, from);
  const pattern = new RegExp(match);
  const names = readdirSync(source, { recursive: true }).filter((name) => pattern.test(name));
  const replaced = new Set();
  for (const name of names) {
    const target = join(folder, basename(name));
    copyFileSync(join(source, name), target);
    if (!name.endsWith('js')) continue;
    const text = readFileSync(target, 'utf8');
    for (const [old, put] of Object.entries(replace)) {
      if (!text.includes(old)) continue;
      writeFileSync(target, text.replace(old, put));
      replaced.add(old);
    }
  }
  if (names.length === 0) throw new Error(`${source} has nothing that matches ${match}`);
  for (const old of Object.keys(replace)) {
    if (!replaced.has(old)) throw new Error(`no file of ${source} that matches ${match} has the text ${old}`);
  }
}

/** Where the assets lie: in the version's own package, below it where two versions of one are installed, or beside it. */
function directory(imported, packaged, from) {
  const own = from === imported || from.startsWith(`${imported}/`) ? packaged + from.slice(imported.length) : null;
  const candidates = own === null ? [join(modules, packaged, 'node_modules', from), join(modules, from)] : [join(modules, own)];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${packaged} has no ${from}`);
  return found;
}

/** What a runtime costs the visitor of a page, file by file: as it is, and as a server would compress it. */
function report(title, folder) {
  mkdirSync(folder, { recursive: true });
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  const sizes = files.map(({ name }) => {
    const content = readFileSync(join(folder, name));
    return { name, bytes: content.byteLength, gzip: gzipSync(content, { level: 6 }).byteLength };
  });
  const line = (bytes, gzip) => `${megabytes(bytes)}  ${megabytes(gzip)} gzip`;
  const total = (key) => sizes.reduce((sum, size) => sum + size[key], 0);
  console.log(`\n${title}:${line(total('bytes'), total('gzip'))}`);
  for (const { name, bytes, gzip } of sizes) console.log(`  ${line(bytes, gzip)}  ${name}`);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(2)} MB`.padStart(9);
}
