// The page comes with the clusters of the run; what was decided since is put on top.

listeners.push(arrange, () => preview(currentK()), drawMap);
arrange({ do: decisions.length ? "cut" : "none" });
preview(currentK());
