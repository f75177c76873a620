// What a page knows of the one before it: it lasts for as long as this tab is open, where
// the browser allows that.

export function remember(name, value) {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Then the next page has to do without.
  }
}

export function recall(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}
