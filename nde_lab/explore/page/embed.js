export function findAll() {}
