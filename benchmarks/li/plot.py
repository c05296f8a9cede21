def draw(found, settings, path):
    pass
