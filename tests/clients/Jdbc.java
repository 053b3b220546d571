import java.sql.*;
import java.util.*;

/** What JDBC tools do: metadata, prepared statements beyond prepareThreshold, batches, fetch size, COPY. */
public class Jdbc {
    static void check(Object found, Object wanted, String what) {
        if (!Objects.equals(String.valueOf(found), String.valueOf(wanted)))
            throw new AssertionError(what + ": " + found + " instead of " + wanted);
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            statements(connection);
            prepared(connection);
            cursor(connection);
            metadata(connection);
            errors(connection);
            copy(connection);
        }
        System.out.println("fine");
    }

    static void statements(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("drop table if exists jdbc");
            statement.execute(
                "create table jdbc (id bigserial primary key, name varchar(20) not null, price numeric(10,2),"
                + " at timestamp, flag boolean, data bytea, tags text[])");
            check(statement.executeUpdate("insert into jdbc (name, price) values ('a', 1.5), ('b', null)"), 2, "insert");
            try (ResultSet rows = statement.executeQuery("select * from jdbc order by id")) {
                rows.next();
                check(rows.getLong("id"), 1, "id");
                check(rows.getBigDecimal("price"), "1.50", "price");
                check(rows.getMetaData().getColumnTypeName(3), "numeric", "type name");
                check(rows.getMetaData().getPrecision(3), 10, "precision");
            }
        }
    }

    static void prepared(Connection connection) throws SQLException {
        // before 42.7 the driver writes a "?" for bytes where it puts parameters into the text by itself
        DatabaseMetaData driver = connection.getMetaData();
        boolean bytes = driver.getDriverMajorVersion() * 100 + driver.getDriverMinorVersion() >= 4207
            || !driver.getURL().contains("preferQueryMode=simple");
        String text = "insert into jdbc (name, price, at, flag, data, tags) values (?, ?, ?, ?, ?, ?)";
        try (PreparedStatement insert = connection.prepareStatement(text, Statement.RETURN_GENERATED_KEYS)) {
            for (int n = 0; n < 12; n++) {
                insert.setString(1, "p" + n);
                insert.setBigDecimal(2, new java.math.BigDecimal("12.34"));
                insert.setTimestamp(3, Timestamp.valueOf("2026-11-23 17:00:00.5"));
                insert.setBoolean(4, n % 2 == 0);
                if (bytes) insert.setBytes(5, new byte[] {0, (byte) n}); else insert.setNull(5, Types.BINARY);
                insert.setArray(6, connection.createArrayOf("text", new String[] {"x", null}));
                insert.executeUpdate();
                try (ResultSet keys = insert.getGeneratedKeys()) {
                    keys.next();
                    check(keys.getLong(1), n + 3, "generated key");
                }
            }
            for (int n = 0; n < 50; n++) {
                insert.setString(1, "batch");
                insert.setNull(2, Types.NUMERIC);
                insert.setNull(3, Types.TIMESTAMP);
                insert.setBoolean(4, true);
                insert.setNull(5, Types.BINARY);
                insert.setNull(6, Types.ARRAY);
                insert.addBatch();
            }
            check(insert.executeBatch().length, 50, "batch");
        }
        try (PreparedStatement select = connection.prepareStatement(
                "select id, price, at, flag, data, tags, id::float8 / 2 from jdbc where name = ?")) {
            for (int n = 0; n < 12; n++) {
                select.setString(1, "p" + n);
                try (ResultSet rows = select.executeQuery()) {
                    rows.next();
                    check(rows.getLong(1), n + 3, "id");
                    check(rows.getBigDecimal(2), "12.34", "price");
                    check(rows.getTimestamp(3), "2026-11-23 17:00:00.5", "timestamp");
                    check(rows.getBoolean(4), n % 2 == 0, "flag");
                    if (bytes) check(rows.getBytes(5)[1], n, "bytes");
                    check(((String[]) rows.getArray(6).getArray())[0], "x", "array");
                    check(rows.getDouble(7), (n + 3) / 2.0, "double");
                }
            }
        }
    }

    static void cursor(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(7);
            int sum = 0;
            try (ResultSet rows = statement.executeQuery("select n from generate_series(1, 100) as g(n)")) {
                while (rows.next()) sum += rows.getInt(1);
            }
            check(sum, 5050, "fetch size");
        }
        connection.rollback();
        connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
        check(connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ, "isolation");
        connection.setAutoCommit(true);
    }

    static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData data = connection.getMetaData();
        check(data.getDatabaseProductName(), "PostgreSQL", "product");
        List<String> names = new ArrayList<>();
        try (ResultSet rows = data.getTables(null, "public", "jdbc", new String[] {"TABLE"})) {
            while (rows.next()) names.add(rows.getString("TABLE_NAME"));
        }
        check(names, "[jdbc]", "tables");
        StringBuilder columns = new StringBuilder();
        try (ResultSet rows = data.getColumns(null, "public", "jdbc", "%")) {
            while (rows.next())
                columns.append(rows.getString("COLUMN_NAME")).append(' ').append(rows.getString("TYPE_NAME"))
                    .append('(').append(rows.getInt("COLUMN_SIZE")).append(',').append(rows.getInt("DECIMAL_DIGITS"))
                    .append(") ").append(rows.getInt("ORDINAL_POSITION")).append(rows.getString("IS_NULLABLE"))
                    .append(rows.getString("IS_AUTOINCREMENT")).append("; ");
        }
        check(columns.toString().trim(), "id bigserial(19,0) 1NOYES; name varchar(20,0) 2NONO; price numeric(10,2) 3YESNO;"
            + " at timestamp(29,6) 4YESNO; flag bool(1,0) 5YESNO; data bytea(2147483647,0) 6YESNO;"
            + " tags _text(2147483647,0) 7YESNO;", "columns");
        List<String> indexes = new ArrayList<>();
        try (ResultSet rows = data.getIndexInfo(null, "public", "jdbc", true, false)) {
            while (rows.next()) indexes.add(rows.getString("INDEX_NAME") + " " + rows.getString("COLUMN_NAME"));
        }
        check(indexes, "[jdbc_pkey id]", "indexes");
        List<String> keys = new ArrayList<>();
        try (ResultSet rows = data.getPrimaryKeys(null, "public", "jdbc")) {
            while (rows.next()) keys.add(rows.getString("PK_NAME") + " " + rows.getString("COLUMN_NAME") + " " + rows.getInt("KEY_SEQ"));
        }
        check(keys, "[jdbc_pkey id 1]", "primary key");
        try (ResultSet rows = data.getSchemas()) { check(rows.next(), true, "schemas"); }
        try (ResultSet rows = data.getTypeInfo()) { check(rows.next(), true, "types"); }
        try (ResultSet rows = data.getImportedKeys(null, "public", "jdbc")) { check(rows.next(), false, "foreign keys"); }
    }

    static void errors(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            try {
                statement.executeQuery("select * from nowhere");
                throw new AssertionError("no error");
            } catch (SQLException error) {
                check(error.getSQLState(), "42P01", "SQLSTATE");
            }
            statement.setQueryTimeout(1);
            try {
                statement.executeQuery("select pg_sleep(20)");
                throw new AssertionError("no timeout");
            } catch (SQLException error) {
                check(error.getSQLState(), "57014", "SQLSTATE");
            }
        }
        check(connection.isValid(5), true, "valid");
    }

    static void copy(Connection connection) throws Exception {
        var copies = connection.unwrap(org.postgresql.PGConnection.class).getCopyAPI();
        long rows = copies.copyIn("copy jdbc (name) from stdin", new java.io.StringReader("one\ntwo\n"));
        check(rows, 2, "copy in");
        var out = new java.io.StringWriter();
        check(copies.copyOut("copy (select name from jdbc where name in ('one', 'two') order by 1) to stdout", out), 2, "copy out");
        check(out, "one\ntwo\n", "copied");
        try (Statement statement = connection.createStatement()) { statement.execute("drop table jdbc"); }
    }
}
