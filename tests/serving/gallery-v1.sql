BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('1');
CREATE TABLE picture (
	id VARCHAR(32) NOT NULL, 
	created BIGINT NOT NULL, 
	owner VARCHAR(256) NOT NULL, 
	prompt TEXT NOT NULL, 
	words TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	model VARCHAR(16) NOT NULL, 
	format VARCHAR(8) NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	record JSON NOT NULL, 
	scores JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "picture" VALUES('44bed3029990b5c10930eac99bfb59d0',1795705155045,'ann','a cat','a cat',7,'0000000000000000','png',8,8,577,'{"format": 1, "limner": "0.1.0", "prompt": "a cat", "seed": 7, "model": "0000000000000000", "encoder": "", "settings": {}, "planner": "", "tile": 1, "threads": 0, "drawn_from": []}','null');
INSERT INTO "picture" VALUES('5618b81b329bf7fa94292b59f70064e8',1795705155088,'bob','雪地里的狐狸','雪地里的狐狸',8,'0000000000000000','png',8,8,603,'{"format": 1, "limner": "0.1.0", "prompt": "\u96ea\u5730\u91cc\u7684\u72d0\u72f8", "seed": 8, "model": "0000000000000000", "encoder": "", "settings": {}, "planner": "", "tile": 1, "threads": 0, "drawn_from": []}','null');
CREATE INDEX picture_owner_created ON picture (owner, created, id);
CREATE INDEX picture_created ON picture (created);
COMMIT;
