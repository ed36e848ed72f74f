// Bundles the runtime that fails on purpose with the pages' own worker code, as the pages' build does it.
// `node build.mjs FOLDER` writes `worker.js` there.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const pages = join(here, '..', '..', '..', 'webpayloads');
const { build } = await import(pathToFileURL(createRequire(join(pages, 'package.json')).resolve('vite')).href);

await build({
  configFile: false,
  root: pages,
  base: './',
  logLevel: 'warn',
  publicDir: false,
  build: {
    target: 'es2022',
    emptyOutDir: false,
    outDir: process.argv[2],
    lib: { entry: join(here, 'worker.ts'), formats: ['iife'], name: 'worker', fileName: () => 'worker.js' },
  },
});
