import { writeFileSync } from 'node:fs';
import { referencePages } from './pages.ts';

for (const { path, text } of referencePages()) writeFileSync(new URL(`../../${path}`, import.meta.url), text);
