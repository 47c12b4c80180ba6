// Solve with @conda-org/rattler, which installs nothing; print the filenames, one a line.
// Called with the folder whose node_modules has it, a URL and a spec.
"use strict";

const { createRequire } = require("node:module");

const [folder, url, spec] = process.argv.slice(2);
const { simpleSolve } = createRequire(`${folder}/`)("@conda-org/rattler");

simpleSolve([spec], [url], ["linux-64", "noarch"], []).then(
  (packages) => {
    for (const { filename } of packages) console.log(filename);
  },
  (error) => {
    console.error(String(error?.message ?? error));
    process.exitCode = 1;
  },
);
