import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.springframework.security.crypto.argon2.Argon2PasswordEncoder;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;
import org.springframework.security.crypto.factory.PasswordEncoderFactories;
import org.springframework.security.crypto.password.DelegatingPasswordEncoder;
import org.springframework.security.crypto.password.PasswordEncoder;
import org.springframework.security.crypto.password.Pbkdf2PasswordEncoder;
import org.springframework.security.crypto.scrypt.SCryptPasswordEncoder;

/**
 * Writes spring.json: password hashes made by Spring Security's own encoders, under the ids that
 * PasswordEncoderFactories gives them.
 *
 * Put these five jars into lib/ (mvn dependency:copy -Dartifact=GROUP:NAME:VERSION -DoutputDirectory=lib):
 * org.springframework.security:spring-security-crypto:7.1.2, org.springframework:spring-core:7.0.1,
 * org.bouncycastle:bcprov-jdk18on:1.87, commons-logging:commons-logging:1.3.5, org.jspecify:jspecify:1.0.0. Then
 *
 *     java -Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -cp 'lib/*' MakeVectors.java > spring.json
 */
public class MakeVectors {
    static final String PLAIN = "correct horse battery staple";
    static final String KOREAN = "비밀번호 пароль 🔑 naïve";
    static final String LONG =
            "0123456789abcdef".repeat(4) + "01234567" + " these bytes lie beyond bcrypt's limit";

    /** The encoders at Spring's own cost, or at one that is cheap to test where they write it down. */
    static Map<String, PasswordEncoder> encoders(boolean cheap) {
        return Map.of(
                "bcrypt", new BCryptPasswordEncoder(cheap ? 4 : 10),
                "pbkdf2", Pbkdf2PasswordEncoder.defaultsForSpringSecurity_v5_5(),
                "pbkdf2@SpringSecurity_v5_8", Pbkdf2PasswordEncoder.defaultsForSpringSecurity_v5_8(),
                "scrypt", cheap ? new SCryptPasswordEncoder(64, 8, 2, 32, 64)
                        : SCryptPasswordEncoder.defaultsForSpringSecurity_v4_1(),
                "scrypt@SpringSecurity_v5_8", cheap ? new SCryptPasswordEncoder(64, 4, 1, 32, 16)
                        : SCryptPasswordEncoder.defaultsForSpringSecurity_v5_8(),
                "argon2", Argon2PasswordEncoder.defaultsForSpringSecurity_v5_2(),
                "argon2@SpringSecurity_v5_8", Argon2PasswordEncoder.defaultsForSpringSecurity_v5_8());
    }

    public static void main(String[] args) {
        PasswordEncoder factory = PasswordEncoderFactories.createDelegatingPasswordEncoder();
        String version = PasswordEncoder.class.getPackage().getImplementationVersion();
        StringBuilder out = new StringBuilder("[\n");
        for (String id : encoders(true).keySet().stream().sorted().toList()) {
            for (String password : List.of(PLAIN, KOREAN, LONG)) {
                // Today's encoder refuses to make a bcrypt hash of more than 72 bytes; older ones cut
                // the password off there, which is what people's databases hold.
                boolean cut = id.equals("bcrypt") && password.getBytes(StandardCharsets.UTF_8).length > 72;
                String made = new DelegatingPasswordEncoder(id, encoders(password != PLAIN))
                        .encode(cut ? password.substring(0, 72) : password);
                if (!factory.matches(password, made) || factory.matches("wrong", made)) {
                    throw new IllegalStateException(id + " does not verify its own hash");
                }
                out.append(out.length() > 2 ? ",\n" : "");
                out.append(" {\"made_with\": \"spring-security-crypto ").append(version).append("\", \"scheme\": \"")
                        .append(id).append("\", \"password\": \"").append(password)
                        .append("\", \"encoded\": \"").append(made).append("\"}");
            }
        }
        System.out.println(out.append("\n]"));
    }
}
