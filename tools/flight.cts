/** What `import … from "aerostore/flight"` loads: the same program as the package itself. */
const { Aircraft, FlightState } = require("./package.cts");

module.exports = { Aircraft, FlightState };
