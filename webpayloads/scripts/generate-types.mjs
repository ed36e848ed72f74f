// Writes contract.schema.json and src/contract.ts from the Pydantic contract.
// PYTHON names the interpreter that has the project installed; by default the project's own .venv.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';

import { compile } from 'json-schema-to-typescript';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const root = join(here, '..');
const venv = join(root, '.venv', 'bin', 'python');
const python = env.PYTHON ?? (existsSync(venv) ? venv : 'python3');

const text = execFileSync(python, ['-m', 'orchestrator.contract.schema'], { cwd: root, encoding: 'utf8' });
const schema = JSON.parse(text);

const types = await compile(schema, 'PageContract', {
  bannerComment: '// Generated from the Pydantic contract by `npm run types`: change that, not this.',
  ignoreMinAndMaxItems: true,
  format: true,
  style: { singleQuote: true, printWidth: 120 },
});
const constants = [
  `/** Raised when a message changes in a way that an older peer cannot read. */`,
  `export const CONTRACT_VERSION = ${JSON.stringify(schema.properties.CONTRACT_VERSION.const)};`,
  '',
].join('\n');

writeFileSync(join(here, 'contract.schema.json'), text);
writeFileSync(join(here, 'src', 'contract.ts'), `${types}\n${constants}`);
