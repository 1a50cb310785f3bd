// A packed program of the page as what run.js drives.
function load() { throw new Error("no lowered programs yet"); }
