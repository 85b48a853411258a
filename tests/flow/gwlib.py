

def unfinished(gw):
    """Files under tmp/ of the folder vaults that a gateway test made: what is
    left of unfinished uploads."""
    left = []
    for v in gw.json("vault", "list")["items"]:
        if v["url"].startswith("file://"):
            tmp = os.path.join(v["url"][7:], "tmp")
            if os.path.isdir(tmp):
                left += [os.path.join(tmp, f) for f in os.listdir(tmp)]
    return left
