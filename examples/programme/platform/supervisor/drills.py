DRILLS = {}
